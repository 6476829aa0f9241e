package fileblob

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"gocloud.dev/blob/driver"
)

// keyOf turns a path back into its key.
func keyOf(path string) (string, bool) {
	names := strings.Split(path, string(filepath.Separator))
	var key strings.Builder
	for i, name := range names {
		part, ok := decodeName(name, i < len(names)-1)
		if !ok {
			return "", false
		}
		key.WriteString(part)
	}
	return key.String(), true
}

func FuzzAnyKeyIsOnePathBelowTheDirectory(f *testing.F) {
	for _, key := range []string{"a", "a/b", "../..", "/", "//", ".", "a/", "+", "%", "%2F", "a+/b", "é", "\xff", "con\\x:y"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		path, err := relativePath(key)
		if err != nil {
			if key != "" && len(key) < nameBytesMax/3 {
				t.Fatalf("%q is refused: %v", key, err)
			}
			return
		}
		for _, name := range strings.Split(path, string(filepath.Separator)) {
			if name == "" || name[0] == '.' || len(name) > nameBytesMax {
				t.Fatalf("%q has the name %q in its path", key, name)
			}
		}
		if back, ok := keyOf(path); !ok || back != key {
			t.Fatalf("%q became %q, which is %q, %v", key, path, back, ok)
		}
	})
}

func FuzzANameIsDecodedOnlyIfItIsWrittenSo(f *testing.F) {
	for _, name := range []string{"a", "a+", "+", "%", "%2E", "%2e", "%41", "100%", ".tmp"} {
		f.Add(name, true)
		f.Add(name, false)
	}
	f.Fuzz(func(t *testing.T, name string, isDirectory bool) {
		part, ok := decodeName(name, isDirectory)
		if !ok {
			return
		}
		again := encodePart(part)
		if isDirectory {
			again = encodeDirectory(strings.TrimSuffix(part, "/"))
		}
		if again != name {
			t.Fatalf("%q stands for %q, which is written %q", name, part, again)
		}
	})
}

func specimen(t testing.TB) []byte {
	kept := keptOf("text/plain", &driver.WriterOptions{CacheControl: "no-cache", Metadata: map[string]string{"epoch": "7", "näme": "☺"}})
	kept.ETag = `"1-2-3"`
	data, err := kept.encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAttributesComeBack(t *testing.T) {
	kept, ok := decodeAttributes(specimen(t))
	if !ok || kept.ContentType != "text/plain" || kept.CacheControl != "no-cache" || kept.ETag != `"1-2-3"` ||
		!maps.Equal(kept.Metadata, map[string]string{"epoch": "7", "näme": "☺"}) {
		t.Errorf("got %+v, %v", kept, ok)
	}
}

func TestDamagedAttributesAreNone(t *testing.T) {
	whole := specimen(t)
	for length := range whole {
		if _, ok := decodeAttributes(whole[:length]); ok {
			t.Errorf("the first %d bytes are accepted", length)
		}
	}
	for at := range whole {
		for bit := range 8 {
			damaged := append([]byte(nil), whole...)
			damaged[at] ^= 1 << bit
			kept, ok := decodeAttributes(damaged)
			if ok && !isHexCase(whole[at], damaged[at]) {
				t.Errorf("bit %d of byte %d is not missed: %+v", bit, at, kept)
			}
		}
	}
}

// isHexCase says that a flip only changed a hexadecimal digit's case, which
// means the same.
func isHexCase(a, b byte) bool { return a^b == 0x20 && a >= 'a' && a <= 'f' }

func FuzzAttributes(f *testing.F) {
	f.Add(specimen(f))
	f.Add([]byte(attributesMagic + "0000000000000000\n{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		kept, ok := decodeAttributes(data)
		if !ok {
			return
		}
		again, err := kept.encode()
		if err != nil {
			t.Fatal(err)
		}
		if twice, ok := decodeAttributes(again); !ok || twice.ContentType != kept.ContentType || len(twice.Metadata) != len(kept.Metadata) {
			t.Fatalf("%+v became %+v", kept, twice)
		}
	})
}
