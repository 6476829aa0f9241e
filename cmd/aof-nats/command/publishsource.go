package command

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// payload is one message's bytes and where they come from.
type payload struct {
	data   []byte
	origin string
}

// payloadSource gives the payloads one after the other, then io.EOF.
type payloadSource interface {
	next() (payload, error)
	close() error
}

// errTooLong is about a message that the server would not take.
var errTooLong = errors.New("longer than the server takes")

// onePayload is a source of a single message.
type onePayload struct {
	data []byte
	done bool
}

func (o *onePayload) next() (payload, error) {
	if o.done {
		return payload{}, io.EOF
	}
	o.done = true
	return payload{data: o.data, origin: "the message"}, nil
}

func (*onePayload) close() error { return nil }

// wholeInput is a source of everything there is as one message.
type wholeInput struct {
	in       io.Reader
	bytesMax int64
}

func (w *wholeInput) next() (payload, error) {
	if w.in == nil {
		return payload{}, io.EOF
	}
	data, err := io.ReadAll(io.LimitReader(w.in, w.bytesMax+1))
	if err != nil {
		return payload{}, fmt.Errorf("read standard input: %w", err)
	}
	if int64(len(data)) > w.bytesMax {
		return payload{}, fmt.Errorf("standard input is %w (%s); --ndjson publishes each line as a message", errTooLong, formatBytes(w.bytesMax))
	}
	w.in = nil
	return payload{data: data, origin: "the message"}, nil
}

func (*wholeInput) close() error { return nil }

// lines is a source of one message a line. Empty lines are left out.
type lines struct {
	in       *bufio.Reader
	name     string
	number   int
	bytesMax int64
	closer   io.Closer // nil: not ours to close
}

const lineBufferBytes = 64 << 10

func newLines(in io.Reader, name string, bytesMax int64) *lines {
	return &lines{in: bufio.NewReaderSize(in, lineBufferBytes), name: name, bytesMax: bytesMax}
}

func (l *lines) next() (payload, error) {
	for {
		line, err := l.readLine()
		if len(line) > 0 {
			return payload{data: line, origin: fmt.Sprintf("%s:%d", l.name, l.number)}, nil
		}
		if err != nil {
			return payload{}, err
		}
	}
}

// readLine reads a line without its break, bounded.
func (l *lines) readLine() ([]byte, error) {
	l.number++
	var line []byte
	for {
		part, err := l.in.ReadSlice('\n')
		line = append(line, part...)
		if int64(len(line)) > l.bytesMax+2 {
			return nil, fmt.Errorf("%s:%d: the line is %w (%s)", l.name, l.number, errTooLong, formatBytes(l.bytesMax))
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", l.name, err)
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
	}
}

func (l *lines) close() error {
	if l.closer == nil {
		return nil
	}
	return l.closer.Close()
}

// fileLines is a source of the lines of files, one file after the other.
type fileLines struct {
	paths    []string
	bytesMax int64
	current  *lines
}

// fileSuffixes are the files of a directory that hold messages.
var fileSuffixes = []string{".ndjson", ".jsonl"}

// newFileLines reads a file, or those of a directory in the order of their
// names.
func newFileLines(path string, bytesMax int64) (*fileLines, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, missingFile(err)
	}
	if !info.IsDir() {
		return &fileLines{paths: []string{path}, bytesMax: bytesMax}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	source := &fileLines{bytesMax: bytesMax}
	for _, entry := range entries {
		if !entry.IsDir() && slices.Contains(fileSuffixes, filepath.Ext(entry.Name())) {
			source.paths = append(source.paths, filepath.Join(path, entry.Name()))
		}
	}
	if len(source.paths) == 0 {
		return nil, notFoundf("%s holds no .ndjson or .jsonl file", path)
	}
	return source, nil
}

func missingFile(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return notFoundf("%w", err)
	}
	return err
}

func (f *fileLines) next() (payload, error) {
	for {
		if f.current == nil {
			if len(f.paths) == 0 {
				return payload{}, io.EOF
			}
			if err := f.open(); err != nil {
				return payload{}, err
			}
		}
		line, err := f.current.next()
		if !errors.Is(err, io.EOF) {
			return line, err
		}
		if err := f.close(); err != nil {
			return payload{}, err
		}
	}
}

func (f *fileLines) open() error {
	path := f.paths[0]
	f.paths = f.paths[1:]
	file, err := os.Open(path)
	if err != nil {
		return missingFile(err)
	}
	f.current = newLines(file, path, f.bytesMax)
	f.current.closer = file
	return nil
}

func (f *fileLines) close() error {
	if f.current == nil {
		return nil
	}
	current := f.current
	f.current = nil
	return current.close()
}
