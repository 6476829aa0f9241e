package command

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/bridge/client"
)

// publishFlags are what `pub` was called with.
type publishFlags struct {
	connection connection
	file       string
	ndjson     bool
	headers    []string
	window     int
}

func (a *app) publishCommand() *cobra.Command {
	var f publishFlags
	called := &cobra.Command{
		Use:   "pub SUBJECT [BODY]",
		Short: "Publish messages and wait until they are stored",
		Long: `Publishes BODY, or what stands on standard input, or the lines of files, and
waits until every message was acknowledged.

SUBJECT may name fields of each message's JSON in braces. What cannot stand in a
subject becomes '_', and so does a field that is missing.

Publishing stops at the first message that is not acknowledged, or when it is
interrupted; what was not sent by then is not sent any more. What was sent before
is reported; the error names the message. Exit code 6 says that there was no room,
no answer in time, or an interrupt.`,
		Example: `  aof-nats pub orders.new '{"id":1}'
  aof-nats pub 'quakes.{properties.net}.{properties.magType}' --file earthquakes.ndjson
  tail -f events.ndjson | aof-nats pub events --ndjson`,
		Args: cobra.RangeArgs(1, 2),
	}
	called.RunE = a.run(func(ctx context.Context, args []string) error {
		return a.publish(ctx, &f, args[0], args[1:])
	})
	flags := called.Flags()
	f.connection.addTo(flags)
	flags.StringVar(&f.file, "file", "", "publish each line of a file, or of the .ndjson and .jsonl files of a directory")
	flags.BoolVar(&f.ndjson, "ndjson", false, "publish each line of standard input instead of all of it as one message")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "a header for every message, as NAME:VALUE; repeat for more")
	flags.IntVar(&f.window, "window", 4096, "how many messages may wait for their acknowledgement")
	return called
}

// publish checks the call, connects and publishes.
func (a *app) publish(ctx context.Context, f *publishFlags, subject string, body []string) error {
	template, err := parseSubjectTemplate(subject)
	if err != nil {
		return err
	}
	headers, err := parseHeaders(f.headers)
	if err != nil {
		return err
	}
	switch {
	case len(body) > 0 && (f.file != "" || f.ndjson):
		return usagef("give one of BODY, --file and --ndjson")
	case f.file != "" && f.ndjson:
		return usagef("give one of --file, whose lines are published, and --ndjson, for those of standard input")
	case f.window < 1:
		return usagef("--window is not positive")
	}
	options, err := f.connection.options(a.env.Getenv)
	if err != nil {
		return err
	}
	connected, err := client.Connect(ctx, options)
	if err != nil {
		return err
	}
	defer connected.Close()
	source, err := a.payloads(f, body, connected.MaxPayload())
	if err != nil {
		return err
	}
	p := &publishing{template: template, headers: headers, source: source, progress: a.newProgress()}
	err = p.run(ctx, connected, f.window)
	return errors.Join(err, p.report(a))
}

// payloads opens what is to be published.
func (a *app) payloads(f *publishFlags, body []string, bytesMax int64) (payloadSource, error) {
	switch {
	case len(body) > 0:
		return &onePayload{data: []byte(body[0])}, nil
	case f.file != "":
		return newFileLines(f.file, bytesMax)
	case f.ndjson:
		return newLines(a.env.Stdin, "standard input", bytesMax), nil
	}
	return &wholeInput{in: a.env.Stdin, bytesMax: bytesMax}, nil
}

func parseHeaders(given []string) (map[string][]string, error) {
	if len(given) == 0 {
		return nil, nil
	}
	headers := make(map[string][]string)
	for _, text := range given {
		name, value, found := strings.Cut(text, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !found || name == "" || strings.ContainsAny(text, "\r\n") {
			return nil, usagef("--header %q: write NAME:VALUE", text)
		}
		headers[name] = append(headers[name], value)
	}
	return headers, nil
}
