package fileblob

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/minio/crc64nvme"
	"gocloud.dev/blob/driver"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// This file keeps what a file itself cannot say of an object. Losing it costs
// nothing but that, so it is never synced and its errors stop here.
//
// A file of attributes is one line, "aof-nats-attributes 1 " and the CRC-64 of
// what follows in hexadecimal, and then JSON.

const (
	attributesName     = ".attributes"
	attributesMagic    = "aof-nats-attributes 1 "
	attributesBytesMax = 64 << 10

	defaultContentType = "application/octet-stream"
)

// keptAttributes are the attributes of the object with that ETag.
type keptAttributes struct {
	ETag               string            `json:"etag"`
	CacheControl       string            `json:"cache_control,omitempty"`
	ContentDisposition string            `json:"content_disposition,omitempty"`
	ContentEncoding    string            `json:"content_encoding,omitempty"`
	ContentLanguage    string            `json:"content_language,omitempty"`
	ContentType        string            `json:"content_type"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

func keptOf(contentType string, opts *driver.WriterOptions) keptAttributes {
	if contentType == "" {
		contentType = defaultContentType
	}
	return keptAttributes{
		CacheControl:       opts.CacheControl,
		ContentDisposition: opts.ContentDisposition,
		ContentEncoding:    opts.ContentEncoding,
		ContentLanguage:    opts.ContentLanguage,
		ContentType:        contentType,
		Metadata:           opts.Metadata,
	}
}

func (k *keptAttributes) writerOptions(before func(func(any) bool) error) *driver.WriterOptions {
	return &driver.WriterOptions{
		CacheControl:       k.CacheControl,
		ContentDisposition: k.ContentDisposition,
		ContentEncoding:    k.ContentEncoding,
		ContentLanguage:    k.ContentLanguage,
		Metadata:           k.Metadata,
		BeforeWrite:        before,
	}
}

// areDefault says that they need not be kept.
func (k *keptAttributes) areDefault() bool {
	return k.CacheControl == "" && k.ContentDisposition == "" && k.ContentEncoding == "" &&
		k.ContentLanguage == "" && k.ContentType == defaultContentType && len(k.Metadata) == 0
}

// check refuses, before anything is written, what could not be read back.
func (k *keptAttributes) check() error {
	const etagBytesMax = 64
	encoded, err := k.encode()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	if len(encoded)+etagBytesMax > attributesBytesMax {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrMetadata, len(encoded), attributesBytesMax-etagBytesMax)
	}
	return nil
}

func (k *keptAttributes) encode() ([]byte, error) {
	body, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, "%s%016x\n", attributesMagic, crc64nvme.Checksum(body)), body...), nil
}

// decodeAttributes accepts what encode gives. The length of data is bounded by
// its caller.
func decodeAttributes(data []byte) (keptAttributes, bool) {
	const checksumDigits = 16
	rest, isOurs := bytes.CutPrefix(data, []byte(attributesMagic))
	if !isOurs || len(rest) <= checksumDigits || rest[checksumDigits] != '\n' {
		return keptAttributes{}, false
	}
	body := rest[checksumDigits+1:]
	checksum, err := strconv.ParseUint(string(rest[:checksumDigits]), 16, 64)
	if err != nil || checksum != crc64nvme.Checksum(body) {
		return keptAttributes{}, false
	}
	var kept keptAttributes
	err = json.Unmarshal(body, &kept)
	return kept, err == nil && kept.ContentType != ""
}

func (b *bucket) attributesPath(path string) string {
	relative, err := filepath.Rel(b.dir, path)
	if err != nil { // path is below dir: see bucket.path
		panic("fileblob: " + err.Error())
	}
	return filepath.Join(b.dir, attributesName, relative)
}

// keptAttributes are those of the object, or the defaults.
func (b *bucket) keptAttributes(path string, info fs.FileInfo) keptAttributes {
	data, err := vfs.ReadFile(b.fsys, b.attributesPath(path), attributesBytesMax)
	if err == nil {
		if kept, ok := decodeAttributes(data); ok && kept.ETag == etag(info) {
			return kept
		}
	}
	return keptAttributes{ContentType: defaultContentType}
}

// keepAttributes keeps those of the object that has just been written.
func (b *bucket) keepAttributes(path string, info fs.FileInfo, kept keptAttributes) {
	if kept.areDefault() {
		return // what an earlier object left has another ETag
	}
	kept.ETag = etag(info)
	encoded, err := kept.encode()
	if err != nil {
		return
	}
	temp, err := b.staging.create()
	if err != nil {
		return
	}
	defer temp.done()
	if _, err := temp.file.WriteAt(encoded, 0); err != nil {
		return
	}
	name := b.attributesPath(path)
	if b.fsys.MkdirAll(filepath.Dir(name)) == nil {
		// It fails where a file stands in the way: then there are none.
		_ = b.fsys.Rename(temp.name, name)
	}
}

func (b *bucket) dropAttributes(path string) {
	_ = b.fsys.Remove(b.attributesPath(path)) // what stays has no object
}
