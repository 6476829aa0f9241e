package exactjson

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type outer struct {
	Number int       `json:"number"`
	Inner  inner     `json:"inner"`
	Time   time.Time `json:"time"`
}

type inner struct {
	Text string `json:"text,omitempty"`
}

func TestOnlyExactNamesAreDecoded(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"number":3,"inner":{"text":"a"},"time":"2026-01-02T03:04:05Z","other":1}`: true,
		`{}`:                              true,
		`{"inner":null}`:                  true,
		`{"Number":3}`:                    false,
		`{"number":3,"nuMber":4}`:         false,
		`{"inner":{"Text":"a"}}`:          false,
		`{"inner":[]}`:                    false,
		"{\"inner\":{\"text\":\"\xff\"}}": false,
		`[]`:                              false,
		`{`:                               false,
		``:                                false,
	} {
		var value outer
		if err := Unmarshal([]byte(text), &value); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
