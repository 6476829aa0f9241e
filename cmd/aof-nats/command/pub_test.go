package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSubjectTemplates(t *testing.T) {
	const event = `{"net":"us","mag":5.25,"big":true,"none":null,"list":[1],"inner":{"name":"a.b *c>","deep":{"er":"x"}},
		"empty":"","dollar":"$JS","wide":"Zürich","tab":"a\tb","escape":"\u001b[31m"}`
	for template, want := range map[string]string{
		"plain":                     "plain",
		"q.{net}":                   "q.us",
		"q.{net}.{inner.deep.er}":   "q.us.x",
		"q.{net}-{net}.end":         "q.us-us.end",
		"q.{mag}":                   "q.5_25",
		"q.{big}":                   "q.true",
		"q.{none}.{list}.{absent}":  "q._._._",
		"q.{net.inner}.{inner}":     "q._._",
		"q.{empty}":                 "q._",
		"q.{inner.name}":            "q.a_b__c_",
		"{dollar}.API":              "_JS.API",
		"q.{wide}.{tab}":            "q.Zürich.a_b",
		"q.{escape}":                "q._[31m",
		"{net}":                     "us",
		"q.{absent.more.than.this}": "q._",
	} {
		parsed, err := parseSubjectTemplate(template)
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		if got, err := parsed.subject([]byte(event)); err != nil || got != want {
			t.Errorf("%s gives %q, %v; want %q", template, got, err, want)
		}
	}
	for _, template := range []string{"", ".", "a..b", "a.*", ">", "a b", "a.{", "a.{}", "a.{x", "a.x}", "a.{x.}", "a.{{x}}", "a.{.x}", "{a}.>"} {
		if _, err := parseSubjectTemplate(template); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", template, err)
		}
	}
}

func FuzzSubjectTemplate(f *testing.F) {
	f.Add("q.{a}", `{"a":"b"}`)
	f.Add("{a.b}x{c}", `{"a":{"b":"*"},"c":"$"}`)
	f.Fuzz(func(t *testing.T, source, event string) {
		template, err := parseSubjectTemplate(source)
		if err != nil {
			return
		}
		subject, err := template.subject([]byte(event))
		if err == nil && !isPublishable(subject) {
			t.Errorf("template %q and %q give %q", source, event, subject)
		}
		if !strings.HasPrefix(source, "$") && strings.HasPrefix(subject, "$") {
			t.Errorf("template %q and %q give %q", source, event, subject)
		}
	})
}

// published runs `pub` against a server and returns its report and the raw
// payloads of the log A, one a line.
func published(t *testing.T, c call) (publishReport, []string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	s := serve(t, "--root", root, "--log", "A=a.>")
	c.args = append([]string{"pub", "-s", s.NATSURL, "--json"}, c.args...)
	r := c.run(t)
	if r.code != exitSuccess || r.stderr != "" {
		t.Fatalf("%q: exit code %d, stderr %q", c.args, r.code, r.stderr)
	}
	var report publishReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatal(err)
	}
	s.interrupt()
	s.wait(t)
	text := succeed(t, "read", "A", "--root", root, "--format", "raw", "--delimiter", `\x00`)
	return report, strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
}

func TestWhereMessagesComeFrom(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.ndjson": "{\"k\":\"3\"}\n", "a.jsonl": "{\"k\":\"1\"}\r\n\n{\"k\":\"2\"}", "c.txt": "no\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		call call
		want []string
	}{
		{"an argument", call{args: []string{"a.x", "body"}}, []string{"body"}},
		{"an empty argument", call{args: []string{"a.x", ""}}, []string{""}},
		{"standard input", call{args: []string{"a.x"}, stdin: "one\ntwo\n"}, []string{"one\ntwo\n"}},
		{"lines of standard input", call{args: []string{"a.x", "--ndjson"}, stdin: "one\n\ntwo"}, []string{"one", "two"}},
		{"a file", call{args: []string{"a.x", "--file", filepath.Join(dir, "c.txt")}}, []string{"no"}},
		{"a directory", call{args: []string{"a.{k}", "--file", dir}}, []string{`{"k":"1"}`, `{"k":"2"}`, `{"k":"3"}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, got := published(t, c.call)
			if !slices.Equal(got, c.want) {
				t.Errorf("stored %q, want %q", got, c.want)
			}
			if n := uint64(len(c.want)); report.Sent != n || report.Acked != n || report.Failed != 0 || report.LastSeq["A"] != n {
				t.Errorf("report is %+v", report)
			}
		})
	}
}

func TestTheReportForPeople(t *testing.T) {
	s := serve(t, "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a.>")
	succeed(t, "pub", "-s", s.NATSURL, "a.x", "-H", "Nats-Msg-Id:1", "one")
	text := succeed(t, "pub", "-s", s.NATSURL, "a.x", "-H", "Nats-Msg-Id:1", "one")
	if !strings.HasPrefix(text, "1 of 1 message acknowledged (1 duplicate), 3 B in 0.") || !strings.HasSuffix(text, "/s; A is at 1\n") {
		t.Errorf("printed %q", text)
	}
}

func TestTheServerComesFromTheEnvironmentUnlessAFlagSaysOtherwise(t *testing.T) {
	s := serve(t, "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a.>")
	env := map[string]string{"NATS_URL": s.NATSURL}
	if r := (call{args: []string{"pub", "a.x", "one"}, env: env}).run(t); r.code != exitSuccess {
		t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
	}
	r := call{args: []string{"pub", "-s", "nats://127.0.0.1:1", "a.x", "one"}, env: env}.run(t)
	r.mustFail(t, exitIO, "no connection", "127.0.0.1:1")
}

func TestPubSaysWhatIsWrongWithItsCall(t *testing.T) {
	for args, text := range map[string]string{
		"a..b x":              "tokens are separated",
		"a.* x":               "wildcards",
		"a x --ndjson":        "give one of BODY",
		"a --ndjson --file f": "give one of --file",
		"a x --window 0":      "--window",
		"a x -H novalue":      "NAME:VALUE",
		"a x --timeout -1s":   "--timeout",
		"a x --tlscert c":     "certificate",
		"a x --creds /no/c":   "/no/c",
	} {
		failWith(t, exitUsage, []string{text}, append([]string{"pub"}, strings.Fields(args)...)...)
	}
}

func TestPubStopsAtWhatItCannotSendAndNamesIt(t *testing.T) {
	s := serve(t, "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a.>")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	broken := write("broken.ndjson", "{\"k\":\"x\"}\nno json\n{\"k\":\"y\"}\n")
	r := failWith(t, exitUsage, []string{"broken.ndjson:2", "no JSON"}, "pub", "-s", s.NATSURL, "a.{k}", "--file", broken)
	if !strings.HasPrefix(r.stdout, "1 of 1 message acknowledged") {
		t.Errorf("printed %q", r.stdout)
	}
	long := write("long.ndjson", "short\n"+strings.Repeat("x", 2<<20)+"\n")
	failWith(t, exitIO, []string{"long.ndjson:2", "longer than the server takes"}, "pub", "-s", s.NATSURL, "a.x", "--file", long)
	failWith(t, exitNotFound, []string{"none"}, "pub", "-s", s.NATSURL, "a.x", "--file", filepath.Join(dir, "none"))
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	failWith(t, exitNotFound, []string{"holds no .ndjson"}, "pub", "-s", s.NATSURL, "a.x", "--file", empty)
	r = call{args: []string{"pub", "-s", s.NATSURL, "a.x"}, stdin: strings.Repeat("x", 2<<20)}.run(t)
	r.mustFail(t, exitIO, "longer than the server takes", "--ndjson")
	failWith(t, exitIO, []string{"10071", "wrong last sequence"}, "pub", "-s", s.NATSURL, "a.x", "-H", "Nats-Expected-Last-Sequence:99", "x")
}

func TestBackpressureEndsPubWithItsOwnCodeAndTheCount(t *testing.T) {
	s := serve(t, "--root", filepath.Join(t.TempDir(), "root"), "--log", "A=a.>", "--hot-bytes", "256KiB", "--segment-bytes", "64KiB")
	stdin := strings.Repeat(strings.Repeat("x", 1000)+"\n", 1000)
	r := call{args: []string{"pub", "-s", s.NATSURL, "a.x", "--ndjson", "--window", "16", "--json"}, stdin: stdin}.run(t)
	r.mustFail(t, exitTimeout, "not acknowledged", "standard input:", "Admission")
	var report publishReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Acked == 0 || report.Failed == 0 || report.Acked+report.Failed != report.Sent || report.Sent >= 1000 {
		t.Errorf("report is %+v", report)
	}
}
