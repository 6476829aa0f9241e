package bucket

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file is the names of things in a bucket:
//
//	<prefix>/probe
//	<prefix>/<log>.<log id:016x>/log.json
//	    segments/<segment id:020>_<first seq>-<last seq>_g<generation>.zst or .dzst
//	    manifest/<chunk index:020>.mlog
//	    snapshots/<id:020>.bin
//	    catalog/<page:010>.cat
//	    epochs/<epoch:020>
//
// with dictionaries/ and cursors/ for those who keep such.

// Where the objects of a log lie in its folder.
const (
	LogKey             = "log.json"
	SegmentsPrefix     = "segments/"
	ManifestPrefix     = "manifest/"
	SnapshotsPrefix    = "snapshots/"
	CatalogPrefix      = "catalog/"
	DictionariesPrefix = "dictionaries/"
	CursorsPrefix      = "cursors/"
	EpochsPrefix       = "epochs/"

	probeKey = "probe"

	logNameBytesMax = 128
	keyBytesMax     = 1024 // of a whole key, in every store
)

// FolderName is the folder of a log: its name, a point and its id.
func FolderName(log string, id uint64) string { return fmt.Sprintf("%s.%016x", log, id) }

// ParseFolder is the inverse of FolderName for names that a log may have. It
// accepts nothing else.
func ParseFolder(folder string) (log string, id uint64, ok bool) {
	log, digits, _ := strings.Cut(folder, ".")
	if log == "" || len(log) > logNameBytesMax || strings.ContainsFunc(log, isNoLogLetter) {
		return "", 0, false
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	return log, id, err == nil && FolderName(log, id) == folder
}

func isNoLogLetter(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

// SegmentKey names an object that holds a segment.
type SegmentKey struct {
	// ID is the segment's, below 2^32.
	ID uint64
	// First and Last are its sequences; Last is First - 1 if it has none.
	First, Last uint64
	// Generation counts the uploads of the segment.
	Generation uint32
	// Dictionary says that it needs one to be decompressed.
	Dictionary bool
}

// String is the key.
func (k SegmentKey) String() string {
	extension := "zst"
	if k.Dictionary {
		extension = "dzst"
	}
	return fmt.Sprintf("%s%020d_%d-%d_g%d.%s", SegmentsPrefix, k.ID, k.First, k.Last, k.Generation, extension)
}

// ParseSegmentKey is the inverse of String. It accepts nothing else.
func ParseSegmentKey(key string) (SegmentKey, bool) {
	rest, _ := strings.CutPrefix(key, SegmentsPrefix)
	id, rest, _ := strings.Cut(rest, "_")
	first, rest, _ := strings.Cut(rest, "-")
	last, rest, _ := strings.Cut(rest, "_g")
	generation, extension, _ := strings.Cut(rest, ".")
	numbers := [4]uint64{}
	for i, digits := range []string{id, first, last, generation} {
		number, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return SegmentKey{}, false
		}
		numbers[i] = number
	}
	if numbers[0] > math.MaxUint32 || numbers[3] > math.MaxUint32 || numbers[1] == 0 || numbers[2] < numbers[1]-1 {
		return SegmentKey{}, false
	}
	parsed := SegmentKey{numbers[0], numbers[1], numbers[2], uint32(numbers[3]), extension == "dzst"}
	return parsed, parsed.String() == key
}

// numbered is a form of key that holds one number.
type numbered struct {
	prefix, suffix string
	digits         int
	max            uint64
}

var (
	chunkKeys    = numbered{ManifestPrefix, ".mlog", 20, math.MaxUint64}
	snapshotKeys = numbered{SnapshotsPrefix, ".bin", 20, math.MaxUint64}
	catalogKeys  = numbered{CatalogPrefix, ".cat", 10, 9_999_999_999}
	epochKeys    = numbered{EpochsPrefix, "", 20, math.MaxUint64}
)

func (n numbered) key(number uint64) string {
	return fmt.Sprintf("%s%0*d%s", n.prefix, n.digits, number, n.suffix)
}

func (n numbered) parse(key string) (uint64, bool) {
	digits, _ := strings.CutPrefix(key, n.prefix)
	digits, _ = strings.CutSuffix(digits, n.suffix)
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || number > n.max || n.key(number) != key {
		return 0, false
	}
	return number, true
}

// ChunkKey names a chunk of the manifest.
func ChunkKey(index uint64) string { return chunkKeys.key(index) }

// ParseChunkKey is the inverse of ChunkKey. It accepts nothing else.
func ParseChunkKey(key string) (index uint64, ok bool) { return chunkKeys.parse(key) }

// SnapshotKey names a snapshot of the manifest.
func SnapshotKey(id uint64) string { return snapshotKeys.key(id) }

// ParseSnapshotKey is the inverse of SnapshotKey. It accepts nothing else.
func ParseSnapshotKey(key string) (id uint64, ok bool) { return snapshotKeys.parse(key) }

// CatalogKey names a catalog page, of which there are fewer than 10^10.
func CatalogKey(page uint64) string { return catalogKeys.key(page) }

// ParseCatalogKey is the inverse of CatalogKey. It accepts nothing else.
func ParseCatalogKey(key string) (page uint64, ok bool) { return catalogKeys.parse(key) }

// EpochKey names the claim of an epoch.
func EpochKey(epoch uint64) string { return epochKeys.key(epoch) }

// ParseEpochKey is the inverse of EpochKey. It accepts nothing else.
func ParseEpochKey(key string) (epoch uint64, ok bool) { return epochKeys.parse(key) }

// checkKey refuses keys that not every store can hold.
func checkKey(key string) error {
	if len(key) > keyBytesMax || !utf8.ValidString(key) {
		return fmt.Errorf("%w: key %.60q... is no UTF-8 of at most %d bytes", ErrInvalid, key, keyBytesMax)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%w: key %q has the part %q", ErrInvalid, key, part)
		}
	}
	return nil
}
