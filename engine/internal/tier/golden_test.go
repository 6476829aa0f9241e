package tier

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// goldens are objects that every later version must read: those of the golden
// segments. A new release of the compressor may write other bytes; then the old
// files stay, under names of their own, and are read on.
var goldens = []struct {
	name   string
	frames [][2]int64 // offset and length of each record frame
	bytes  int64
	tail   int64
	table  string // the seek table, head and foot included
}{
	{
		"segment_dictionary", [][2]int64{{0, 649}}, 879, 230,
		"5e2a4d18" + "21000000" + // a skippable frame of 33 bytes
			"89020000" + "e0060000" + "248f5072" + // 649 bytes of 1760
			"bd000000" + "18010000" + "dbcf8798" + // index frame: 189 of 280
			"02000000" + "80" + "b1ea928f", // two frames, with checksums
	},
	{
		"segment_filters", [][2]int64{{0, 1515}}, 1798, 283,
		"5e2a4d18" + "21000000" +
			"eb050000" + "88110000" + "dac1e699" +
			"f2000000" + "50010000" + "bdf2a8f4" +
			"02000000" + "80" + "b1ea928f",
	},
	{
		"segment_partial", [][2]int64{{0, 615}}, 841, 226,
		"5e2a4d18" + "21000000" +
			"67020000" + "80060000" + "d64bd8b6" +
			"b9000000" + "10010000" + "a93fbaf5" +
			"02000000" + "80" + "b1ea928f",
	},
}

func TestGoldenObjects(t *testing.T) {
	for _, golden := range goldens {
		t.Run(golden.name, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join("..", "segment", "testdata", golden.name+".seg"))
			if err != nil {
				t.Fatal(err)
			}
			object, info := compress(t, file)
			path := filepath.Join("testdata", golden.name+".zst")
			if *update {
				if err := os.WriteFile(path, object, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			pinned, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(object, pinned) {
				t.Errorf("the compressor writes other bytes: %d, pinned are %d", len(object), len(pinned))
			}
			o, _ := open(t, pinned, golden.tail)
			var restored bytes.Buffer
			if err := o.WriteSegment(context.Background(), &restored); err != nil || !bytes.Equal(restored.Bytes(), file) {
				t.Errorf("another segment came back: %v", err)
			}
			var frames [][2]int64
			for i := range o.Frames() {
				offset, length, _ := o.FrameRange(i)
				frames = append(frames, [2]int64{offset, length})
			}
			if !slices.Equal(frames, golden.frames) || info.Bytes != golden.bytes || o.TailBytes() != golden.tail {
				t.Errorf("%d bytes, tail of %d, frames %v", info.Bytes, o.TailBytes(), frames)
			}
			if table := hexOf(pinned[int64(len(pinned))-seekTableBytes(int64(o.Frames()+1)):]); table != golden.table {
				t.Errorf("seek table %s", table)
			}
		})
	}
}
