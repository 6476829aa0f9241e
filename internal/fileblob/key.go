package fileblob

import (
	"fmt"
	"path/filepath"
	"strings"
)

// This file turns keys into paths and names back into parts of keys.

const (
	nameBytesMax = 255

	directoryMark = "+"
	emptyPart     = "%"
	hexDigits     = "0123456789ABCDEF"

	// escapedBytes are printable, and escaped because one system or another
	// gives them a meaning in names.
	escapedBytes = "\"%*/:<>?\\|"
)

// relativePath is the path of a key below the bucket's directory.
func relativePath(key string) (string, error) {
	if key == "" {
		return "", fmt.Errorf("%w: it is empty", ErrKey)
	}
	parts := strings.Split(key, "/")
	for i, part := range parts {
		name := encodePart(part)
		if i < len(parts)-1 {
			name = encodeDirectory(part)
		}
		if len(name) > nameBytesMax {
			return "", fmt.Errorf("%w: its part %.40q... is a name of %d bytes, at most %d", ErrKey, part, len(name), nameBytesMax)
		}
		parts[i] = name
	}
	return filepath.Join(parts...), nil
}

func encodeDirectory(part string) string {
	if part == "" {
		return directoryMark
	}
	return encodePart(part) + directoryMark
}

// encodePart is the name of the file for the last part of a key.
func encodePart(part string) string {
	if part == "" {
		return emptyPart
	}
	var name strings.Builder
	for i := range len(part) {
		c := part[i]
		if mustEscape(c) || c == '.' && i == 0 || c == directoryMark[0] && i == len(part)-1 {
			name.WriteByte('%')
			name.WriteByte(hexDigits[c>>4])
			name.WriteByte(hexDigits[c&15])
			continue
		}
		name.WriteByte(c)
	}
	return name.String()
}

func mustEscape(c byte) bool {
	return c < ' ' || c > '~' || strings.IndexByte(escapedBytes, c) >= 0
}

// decodeName is the part of a key that a directory entry stands for, with a '/'
// at the end of a directory's. It accepts what encodePart and encodeDirectory
// give, and nothing else.
func decodeName(name string, isDirectory bool) (part string, ok bool) {
	if !isDirectory {
		part = unescape(name)
		return part, name != "" && encodePart(part) == name
	}
	bare, marked := strings.CutSuffix(name, directoryMark)
	part = unescape(bare)
	return part + "/", marked && encodeDirectory(part) == name
}

func unescape(name string) string {
	if name == emptyPart || !strings.Contains(name, "%") {
		return strings.TrimSuffix(name, emptyPart)
	}
	var part strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+2 < len(name) {
			high, low := strings.IndexByte(hexDigits, name[i+1]), strings.IndexByte(hexDigits, name[i+2])
			if high >= 0 && low >= 0 {
				part.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		part.WriteByte(name[i])
	}
	return part.String()
}
