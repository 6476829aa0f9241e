// Package exactjson decodes the JSON files of a root and a bucket. They have no
// checksum: what encoding/json forgives, a name in other letters or text that is no
// UTF-8, is damage in them.
package exactjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Unmarshal decodes data into the struct that value points to, as encoding/json
// does. It refuses text that is not UTF-8, and names that differ from those of
// value's fields, and of the structs in it, in nothing but upper and lower case.
// Other unknown names are ignored.
func Unmarshal(data []byte, value any) error {
	if !utf8.Valid(data) {
		return errors.New("it is not UTF-8")
	}
	if err := json.Unmarshal(data, value); err != nil {
		return err
	}
	return checkNames(data, reflect.TypeOf(value).Elem())
}

var decodesItself = reflect.TypeFor[json.Unmarshaler]()

func checkNames(data []byte, typ reflect.Type) error {
	if typ.Kind() != reflect.Struct || reflect.PointerTo(typ).Implements(decodesItself) {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		for member := range members {
			if member != name && strings.EqualFold(member, name) {
				return fmt.Errorf("%q stands where %q should", member, name)
			}
		}
		if member, there := members[name]; there {
			if err := checkNames(member, typ.Field(i).Type); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}
