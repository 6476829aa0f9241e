package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// parsed is one operation in a form that tests can compare.
type parsed struct {
	operation Operation
	text      string
}

// parseAll parses a whole input that arrives in pieces.
func parseAll(pieces ...string) (list []parsed, err error) {
	var parser Parser
	var buf []byte
	for _, piece := range pieces {
		buf = append(buf, piece...)
		for {
			operation, n, err := parser.Next(buf)
			if err != nil {
				return list, err
			}
			if operation == Incomplete {
				if n <= len(buf) {
					return list, fmt.Errorf("asks for %d bytes and has %d", n, len(buf))
				}
				break
			}
			list = append(list, parsed{operation, describe(&parser, operation)})
			buf = buf[n:]
		}
	}
	return list, nil
}

func describe(p *Parser, operation Operation) string {
	switch operation {
	case OperationMessage:
		m := p.Message
		return fmt.Sprintf("%s|%d|%s|%q|%q", m.Subject, m.SID, m.Reply, m.Header, m.Payload)
	case OperationInfo, OperationError:
		return string(p.Text)
	}
	return ""
}

const sampleInput = "INFO {\"server_id\":\"A\"}\r\n" +
	"+OK\r\n" +
	"MSG a.b 1 5\r\nhello\r\n" +
	"MSG a.b 12 _INBOX.x.y 0\r\n\r\n" +
	"PING\r\n" +
	"HMSG a.b 2 _INBOX.z 22 27\r\nNATS/1.0\r\nA: bcdef\r\n\r\nhello\r\n" +
	"HMSG c 3 12 12\r\nNATS/1.0\r\n\r\n\r\n" +
	"PONG\r\n" +
	"-ERR 'Slow Consumer'\r\n" +
	"MSG x 4 r 9\r\nMSG a 1 1\r\n"

var sampleParsed = []parsed{
	{OperationInfo, `{"server_id":"A"}`},
	{OperationOK, ""},
	{OperationMessage, `a.b|1||""|"hello"`},
	{OperationMessage, `a.b|12|_INBOX.x.y|""|""`},
	{OperationPing, ""},
	{OperationMessage, `a.b|2|_INBOX.z|"NATS/1.0\r\nA: bcdef\r\n\r\n"|"hello"`},
	{OperationMessage, `c|3||"NATS/1.0\r\n\r\n"|""`},
	{OperationPong, ""},
	{OperationError, "Slow Consumer"},
	{OperationMessage, `x|4|r|""|"MSG a 1 1"`},
}

func TestParserReadsEveryOperation(t *testing.T) {
	got, err := parseAll(sampleInput)
	if err != nil {
		t.Fatal(err)
	}
	expectParsed(t, got, sampleParsed)
}

func TestParserDoesNotDependOnWhereReadsEnd(t *testing.T) {
	for i := range sampleInput {
		got, err := parseAll(sampleInput[:i], sampleInput[i:])
		if err != nil {
			t.Fatalf("cut at %d: %v", i, err)
		}
		expectParsed(t, got, sampleParsed)
	}
	got, err := parseAll(strings.Split(sampleInput, "")...)
	if err != nil {
		t.Fatal(err)
	}
	expectParsed(t, got, sampleParsed)
}

func expectParsed(t *testing.T, got, want []parsed) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d operations, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("operation %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestParserRefusesWhatIsNotTheProtocol(t *testing.T) {
	for name, input := range map[string]string{
		"unknown operation":          "HELLO\r\n",
		"operation of a client":      "PUB a 1\r\nx\r\n",
		"lower case":                 "msg a 1 1\r\nx\r\n",
		"no size":                    "MSG a 1\r\n",
		"too many fields":            "MSG a 1 r 1 1\r\nx\r\n",
		"empty subject":              "MSG  1 1\r\nx\r\n",
		"empty reply":                "MSG a 1  1\r\nx\r\n",
		"size not a number":          "MSG a 1 1x\r\nx\r\n",
		"negative size":              "MSG a 1 -1\r\n\r\n",
		"size beyond the limit":      "MSG a 1 9999999999\r\n",
		"size of twenty digits":      "MSG a 1 00000000000000000001\r\nx\r\n",
		"subscription not a number":  "MSG a x 1\r\nx\r\n",
		"header longer than message": "HMSG a 1 5 4\r\nabcd\r\n",
		"header size missing":        "HMSG a 1 4\r\nabcd\r\n",
		"payload without line break": "MSG a 1 1\r\nxyz\r\n",
		"endless line":               strings.Repeat("x", lineBytesMax),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseAll(input); !errors.Is(err, ErrProtocol) {
				t.Errorf("got %v, %q; want a protocol error", err, got)
			}
		})
	}
}

func TestParserAllocatesNothingOnMessages(t *testing.T) {
	input := []byte("MSG orders.new 7 _INBOX.abcdef.1 11\r\nhello world\r\nHMSG a.b 2 _INBOX.z 22 27\r\nNATS/1.0\r\nA: bcdef\r\n\r\nhello\r\n")
	var parser Parser
	allocations := testing.AllocsPerRun(100, func() {
		for rest := input; len(rest) > 0; {
			operation, n, err := parser.Next(rest)
			if operation != OperationMessage || err != nil {
				t.Fatal(operation, err)
			}
			rest = rest[n:]
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// FuzzParser checks that no input makes the parser panic, ask for nothing, take
// what is not there, or see something else when the input comes in two pieces.
func FuzzParser(f *testing.F) {
	f.Add([]byte(sampleInput), 17)
	f.Add([]byte("HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n"), 3)
	f.Add([]byte("MSG a 1 67174400\r\n"), 5)
	f.Add([]byte("\r\n\n"), 1)
	f.Fuzz(func(t *testing.T, input []byte, cut int) {
		whole, wholeErr := parseAll(string(input))
		cut = max(0, min(cut, len(input)))
		pieces, piecesErr := parseAll(string(input[:cut]), string(input[cut:]))
		if (wholeErr == nil) != (piecesErr == nil) || wholeErr != nil && !errors.Is(wholeErr, ErrProtocol) {
			t.Fatalf("errors differ: %v, %v", wholeErr, piecesErr)
		}
		expectParsed(t, pieces, whole)
		var parser Parser
		if operation, n, err := parser.Next(input); operation != Incomplete && (n > len(input) || n < 2 || err != nil) {
			t.Fatalf("operation %d takes %d of %d bytes, %v", operation, n, len(input), err)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	input := bytes.Repeat([]byte("MSG bench.subject 1 _INBOX.abcdefghij.123456 128\r\n"+strings.Repeat("x", 128)+"\r\n"), 400)
	var parser Parser
	b.SetBytes(int64(len(input) / 400))
	b.ReportAllocs()
	rest := input
	for range b.N {
		if len(rest) == 0 {
			rest = input
		}
		_, n, err := parser.Next(rest)
		if err != nil {
			b.Fatal(err)
		}
		rest = rest[n:]
	}
}
