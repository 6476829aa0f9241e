package bridge

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/engine"
)

func block(lines ...string) string {
	return "NATS/1.0\r\n" + strings.Join(lines, "\r\n") + strings.Repeat("\r\n", min(len(lines), 1)) + "\r\n"
}

func TestHeadersAreStoredInOrderOfTheirKeys(t *testing.T) {
	for name, test := range map[string]struct{ wire, stored string }{
		"none":                    {"", ""},
		"empty block":             {block(), ""},
		"in order":                {block("A: 1", "B: 2"), "A: 1\r\nB: 2\r\n"},
		"out of order":            {block("B: 2", "A: 1"), "A: 1\r\nB: 2\r\n"},
		"values keep their order": {block("B: 2", "A: z", "A: a"), "A: z\r\nA: a\r\nB: 2\r\n"},
		"no blank":                {block("A:1"), "A: 1\r\n"},
		"more blanks":             {block("A:  1 ", "B:   "), "A:  1 \r\nB:   \r\n"},
		"a tab and no blank":      {block("A:\t1"), "A: \t1\r\n"},
		"a tab is no blank":       {block("A: \t1"), "A: \t1\r\n"},
		"empty value":             {block("A:", "B: "), "A: \r\nB: \r\n"},
		"colon in a value":        {block("A: b:c"), "A: b:c\r\n"},
		"case matters":            {block("a: 1", "A: 2"), "A: 2\r\na: 1\r\n"},
		"inline status":           {"NATS/1.0 503 No Responders\r\nA: 1\r\n\r\n", "A: 1\r\n"},
		"not stored":              {block("Status: 503", "Nats-Request-Info: {}", "Description: x", "A: 1"), "A: 1\r\n"},
		"stored in part":          {block("Nats-Msg-Id: 7", "A: 1", "Nats-Request-Info: {}"), "A: 1\r\nNats-Msg-Id: 7\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var h headerBlock
			if !h.parse([]byte(test.wire)) {
				t.Fatal("refused")
			}
			if string(h.stored) != test.stored {
				t.Errorf("got %q, want %q", h.stored, test.stored)
			}
		})
	}
}

func TestMalformedHeadersAreRefused(t *testing.T) {
	for name, wire := range map[string]string{
		"no version":          "A: 1\r\n\r\n",
		"other version":       "NATS/1.1\r\nA: 1\r\n\r\n",
		"version runs on":     "NATS/1.0x\r\nA: 1\r\n\r\n",
		"version alone":       "NATS/1.0",
		"no blank line":       "NATS/1.0\r\nA: 1\r\n",
		"no line break":       "NATS/1.0\r\nA: 1",
		"no colon":            block("A"),
		"empty key":           block(": 1"),
		"blank before key":    block(" A: 1"),
		"blank behind key":    block("A : 1"),
		"no-break space":      block("A\u00a0: 1"),
		"bare LF in value":    block("A: 1\nB: 2"),
		"bare CR in value":    block("A: 1\rB: 2"),
		"LF in the status":    "NATS/1.0 1\n2\r\nA: 1\r\n\r\n",
		"data behind the end": block("A: 1") + "B: 2\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var h headerBlock
			if h.parse([]byte(wire)) {
				t.Errorf("accepted, stored as %q", h.stored)
			}
		})
	}
}

func TestFirstOfSeveralControlHeadersCounts(t *testing.T) {
	var h headerBlock
	if !h.parse([]byte(block("Nats-Msg-Id: first", "X: y", "Nats-Msg-Id: second", "nats-msg-id: other", "Nats-Expected-Stream:"))) {
		t.Fatal("refused")
	}
	if string(h.control.msgID) != "first" || h.control.expectedStream == nil || len(h.control.expectedStream) != 0 || h.control.lastSeq != nil {
		t.Errorf("got %+v", h.control)
	}
}

// Blanks in front are stored and are no part of what a header asks for.
func TestBlanksBeforeControlValuesAreSkipped(t *testing.T) {
	var h headerBlock
	if !h.parse([]byte(block("Nats-Expected-Stream:\tX", "Nats-Msg-Id:   id"))) {
		t.Fatal("refused")
	}
	if string(h.control.msgID) != "id" || string(h.control.expectedStream) != "\tX" || !bytes.Contains(h.stored, []byte("Nats-Msg-Id:   id")) {
		t.Errorf("got %+v, stored %q", h.control, h.stored)
	}
	if refusesAPILevel([]byte(block("Nats-Required-Api-Level:   1"))) {
		t.Error("an API level behind blanks is refused")
	}
}

func TestHeadersAreReadWithoutAllocating(t *testing.T) {
	sorted := []byte(block("A: 1", "Nats-Msg-Id: 17"))
	mixed := []byte(block("Nats-Msg-Id: 17", "B: 2", "A: 1"))
	var h headerBlock
	if n := testing.AllocsPerRun(100, func() { h.parse(sorted); h.parse(mixed) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// asClientsRead is the stored form without what nats.go skips in front of values.
func asClientsRead(stored []byte) (shown []byte) {
	engine.EachHeader(stored, func(key, value []byte) bool {
		shown = append(append(shown, key...), headerSeparator...)
		shown = append(append(shown, bytes.TrimLeft(value, " \t")...), lineBreak...)
		return true
	})
	return shown
}

// FuzzHeaders checks that what is accepted is what nats.go reads from the same
// bytes, is in the engine's stored form, and stays the same when it is stored
// and read again.
func FuzzHeaders(f *testing.F) {
	f.Add([]byte(block("B: 2", "A: 1", "A: 0", "Status: 1", "C:")))
	f.Add([]byte(block("A:  1", "B: \t2", "C:\t3", "D:   ")))
	f.Add([]byte("NATS/1.0 503 x\r\n\r\n"))
	f.Add([]byte("NATS/1.0\r\nA: 1\nB: 2\r\n\r\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var h headerBlock
		if !h.parse(wire) || len(wire) == 0 {
			return
		}
		decoded, err := nats.DecodeHeadersMsg(wire)
		if err != nil && !bytes.HasPrefix(wire, []byte("NATS/1.0 ")) {
			t.Fatalf("nats.go refuses it: %v", err)
		}
		want := make(map[string][]string)
		for key, values := range decoded {
			if key != "Status" && key != "Description" && key != headerRequestInfo {
				want[key] = values
			}
		}
		encoded, encodeErr := engine.EncodeHeaders(want)
		if shown := asClientsRead(h.stored); err == nil && (encodeErr != nil || !bytes.Equal(encoded, shown)) {
			t.Fatalf("stored %q, want %q, %v", shown, encoded, encodeErr)
		}
		stored := slices.Clone(h.stored)
		again := append(append([]byte("NATS/1.0\r\n"), stored...), "\r\n"...)
		if !h.parse(again) || !bytes.Equal(h.stored, stored) {
			t.Fatalf("%q becomes %q", stored, h.stored)
		}
	})
}
