package bucket_test

import (
	"math"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
)

func TestKeysHaveTheirDocumentedForms(t *testing.T) {
	for got, want := range map[string]string{
		bucket.FolderName("orders", 0xab):                                                             "orders.00000000000000ab",
		bucket.SegmentKey{ID: 7, First: 1, Last: 900, Generation: 1}.String():                         "segments/00000000000000000007_1-900_g1.zst",
		bucket.SegmentKey{ID: 7, First: 5, Last: 4, Generation: 12, Dictionary: true}.String():        "segments/00000000000000000007_5-4_g12.dzst",
		bucket.SegmentKey{ID: math.MaxUint32, First: 1, Last: math.MaxUint64, Generation: 0}.String(): "segments/00000000004294967295_1-18446744073709551615_g0.zst",
		bucket.ChunkKey(3):              "manifest/00000000000000000003.mlog",
		bucket.SnapshotKey(4):           "snapshots/00000000000000000004.bin",
		bucket.CatalogKey(5):            "catalog/0000000005.cat",
		bucket.EpochKey(math.MaxUint64): "epochs/18446744073709551615",
		bucket.LogKey:                   "log.json",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestParsingIsTheInverseAndAcceptsNothingElse(t *testing.T) {
	for _, key := range []string{
		"", "segments/", "segments/7_1-900_g1.zst", "segments/00000000000000000007_01-900_g1.zst", "segments/00000000000000000007_1-900_g1.zst.tmp",
		"segments/00000000000000000007_1-900_g1.", "segments/00000000000000000007_1-900_g1", "segments/00000000000000000007_1-900.zst",
		"segments/00000000004294967296_1-900_g1.zst", "segments/00000000000000000007_0-900_g1.zst", "segments/00000000000000000007_900-1_g1.zst",
		"segments/00000000000000000007_1-900_g4294967296.zst", "segments/00000000000000000007_+1-900_g1.zst", "segments/00000000000000000007_1-900_g-1.zst",
		"x/segments/00000000000000000007_1-900_g1.zst", "00000000000000000007_1-900_g1.zst", "segments/00000000000000000007_1-99999999999999999999_g1.zst",
		"manifest/3.mlog", "manifest/00000000000000000003", "manifest/00000000000000000003.mlog.mlog", "manifest/99999999999999999999.mlog",
		"catalog/00000000005.cat", "snapshots/00000000000000000004.mlog", "epochs/1", "epochs/00000000000000000001/", "epochs/-0000000000000000001",
	} {
		if _, ok := bucket.ParseSegmentKey(key); ok {
			t.Errorf("%q is taken for a segment", key)
		}
		for name, parse := range numberParsers {
			if _, ok := parse(key); ok {
				t.Errorf("%q is taken for a %s", key, name)
			}
		}
	}
	for _, folder := range []string{"", ".", "a", "a.1", "a.00000000000000AB", "a b.00000000000000ab", "a.00000000000000ab.x", strings.Repeat("a", 129) + ".00000000000000ab"} {
		if _, _, ok := bucket.ParseFolder(folder); ok {
			t.Errorf("%q is taken for a folder", folder)
		}
	}
}

var numberParsers = map[string]func(string) (uint64, bool){
	"chunk": bucket.ParseChunkKey, "snapshot": bucket.ParseSnapshotKey, "catalog page": bucket.ParseCatalogKey, "epoch": bucket.ParseEpochKey,
}

func FuzzKeys(f *testing.F) {
	f.Add("segments/00000000000000000007_1-900_g1.zst")
	f.Add("segments/00000000000000000007_5-4_g12.dzst")
	f.Add("orders.00000000000000ab")
	f.Add(bucket.ChunkKey(1))
	f.Add(bucket.SnapshotKey(1))
	f.Add(bucket.CatalogKey(1))
	f.Add(bucket.EpochKey(1))
	f.Fuzz(func(t *testing.T, key string) {
		if parsed, ok := bucket.ParseSegmentKey(key); ok && parsed.String() != key {
			t.Fatalf("%q became %+v", key, parsed)
		}
		if log, id, ok := bucket.ParseFolder(key); ok && bucket.FolderName(log, id) != key {
			t.Fatalf("%q became %q, %d", key, log, id)
		}
		makers := map[string]func(uint64) string{"chunk": bucket.ChunkKey, "snapshot": bucket.SnapshotKey, "catalog page": bucket.CatalogKey, "epoch": bucket.EpochKey}
		for name, parse := range numberParsers {
			if number, ok := parse(key); ok && makers[name](number) != key {
				t.Fatalf("%q became %s %d", key, name, number)
			}
		}
	})
}
