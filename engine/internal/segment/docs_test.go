package segment

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The format page, the byte pictures in doc.go and the code say the same.

const formatPage = "../../../docs/segment-format.md"

// layout is one structure as the codec has it: where each field begins.
type layout struct {
	section string // heading of the page, or bold word before the table
	picture string // line of doc.go before the picture
	size    int
	offsets []int
}

func layouts() []layout {
	return []layout{
		{"## Header", "Header, 128 bytes:", HeaderBytes, []int{
			headerMagicAt, headerVersionAt, headerBytesAt, headerFlagsAt, headerLogIDAt, headerIDAt, headerBaseSeqAt,
			headerCreatedAt, headerEpochAt, headerSaltAt, headerAllocatedAt, headerReservedAt, headerChecksumAt,
		}},
		{"## Record", "Record, a multiple", RecordHeaderBytes, []int{
			recordChecksumAt, recordBodyBytesAt, recordSeqAt, recordTimestampAt, recordExtIDAt, recordUnsyncedAt,
			recordHeadersBytesAt, recordSubjectBytesAt, recordFlagsAt, recordHeaderChecksumAt,
		}},
		{"## Control records", "Body of a control record:", EpochMarkBytes - RecordHeaderBytes, []int{
			controlKindAt, controlReservedAt, controlEpochAt,
		}},
		{"## Index block", "", indexHeadBytes, []int{indexVersionAt, indexReservedAt}},
		{"**Frames**", "frames (1):", frameEntryBytes, []int{
			frameFirstSeqAt, frameMaxTimestampAt, frameOffsetAt, frameFlagsAt,
		}},
		{"## Footer", "Footer, 192 bytes:", FooterBytes, []int{
			footerMagicAt, footerVersionAt, footerBytesAt, footerFlagsAt, footerLogIDAt, footerIDAt, footerSaltAt,
			footerEpochAt, footerBaseSeqAt, footerCountAt, footerFirstSeqAt, footerLastSeqAt, footerFirstTimestampAt,
			footerMaxTimestampAt, footerFirstExtIDAt, footerLastExtIDAt, footerDurableBytesAt, footerManifestOrdinalAt,
			footerSegmentCRC64At, footerIndexOffsetAt, footerIndexBytesAt, footerIndexCRC64At, footerReservedAt, footerChecksumAt,
		}},
	}
}

func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tableBehind returns the rows of the first table with this first column behind
// a mark in the page.
func tableBehind(t *testing.T, text, mark, column string) [][]string {
	t.Helper()
	at := strings.Index(text, "\n"+mark)
	if at < 0 {
		t.Fatalf("the page has no %q", mark)
	}
	var rows [][]string
	inside := false
	for line := range strings.Lines(text[at:]) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			if inside {
				return rows
			}
		case cells[0] == column:
			inside = true
		case inside && !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, cells)
		}
	}
	return rows
}

// typeBytes returns the length of a type as the tables write it.
func typeBytes(t *testing.T, name string) int {
	t.Helper()
	m := regexp.MustCompile(`^[ui](8|16|32|64)(?:\[(\d+)\])?$`).FindStringSubmatch(name)
	if m == nil {
		t.Fatalf("unknown type %q", name)
	}
	bits, _ := strconv.Atoi(m[1])
	count := 1
	if m[2] != "" {
		count, _ = strconv.Atoi(m[2])
	}
	return bits / 8 * count
}

// checkLayout compares rows of offset and type with the codec: every field is
// there, none overlaps, none leaves a gap.
func checkLayout(t *testing.T, l layout, rows [][]string) {
	t.Helper()
	next := 0
	var offsets []int
	for _, row := range rows {
		offset, err := strconv.Atoi(row[0])
		if err != nil || offset != next {
			t.Errorf("%s: offset %q, the field before ends at %d", l.section, row[0], next)
			return
		}
		offsets = append(offsets, offset)
		next += typeBytes(t, row[1])
	}
	if next != l.size || !slices.Equal(offsets, l.offsets) {
		t.Errorf("%s: offsets %v of %d bytes, the codec has %v of %d", l.section, offsets, next, l.offsets, l.size)
	}
}

func TestFormatPageHasTheOffsetsOfTheCode(t *testing.T) {
	text := page(t)
	for _, l := range layouts() {
		checkLayout(t, l, tableBehind(t, text, l.section, "off"))
	}
}

func TestBytePicturesHaveTheOffsetsOfTheCode(t *testing.T) {
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	field := regexp.MustCompile(`^//\s+(\d+)\s+([ui]\d+(?:\[\d+\])?)\s`)
	for _, l := range layouts() {
		if l.picture == "" {
			continue
		}
		_, behind, ok := strings.Cut(string(b), l.picture)
		if !ok {
			t.Fatalf("doc.go has no %q", l.picture)
		}
		var rows [][]string
		for line := range strings.Lines(behind) {
			if m := field.FindStringSubmatch(line); m != nil {
				rows = append(rows, m[1:])
			} else if len(rows) > 0 {
				break
			}
		}
		checkLayout(t, l, rows)
	}
}

func TestFormatPageHasTheNumbersOfTheCode(t *testing.T) {
	text := page(t)
	for mark, want := range map[string][][2]any{
		"| limit": {
			{"segment file, bytes", int64(SegmentBytesMax)},
			{"segment header, bytes", HeaderBytes},
			{"record header, bytes", RecordHeaderBytes},
			{"shortest record, bytes", RecordBytesMin},
			{"longest record, bytes", RecordBytesMax},
			{"footer, bytes", FooterBytes},
			{"sector, bytes", SectorBytes},
			{"frame, bytes of records", FrameBytes},
			{"highest sequence", uint64(SeqMax)},
		},
		"| bit | record flag": {
			{"0", "snapshot boundary"}, {"1", "control record"},
			{"2", "the next record belongs to the same atomic batch; clear on its last"},
		},
		"| kind | control record": {
			{fmt.Sprint(DurableMark), "durable mark"}, {fmt.Sprint(CloseMark), "close mark"},
			{fmt.Sprint(EpochMark), "epoch mark"}, {fmt.Sprint(SealMark), "seal mark"},
		},
		"| kind | section": {{"1", "frames"}, {"2", "dictionary"}, {"3", "filters"}},
		"| bit | footer flag": {
			{"0", "sealed; always set"}, {"1", "compacted"},
			{"2", "partial: recovery ended the segment"}, {"3", "sealed while a flush failure was active"},
		},
	} {
		column := strings.Fields(mark)[1]
		rows := tableBehind(t, text, mark, column)
		if len(rows) != len(want) {
			t.Errorf("%s: %d rows, want %d", mark, len(rows), len(want))
			continue
		}
		for i, row := range rows {
			if row[0] != fmt.Sprint(want[i][0]) || row[1] != fmt.Sprint(want[i][1]) {
				t.Errorf("%s: %v, want %v", mark, row, want[i])
			}
		}
	}
	// The bits and kinds that the tables name are those of the code.
	if FlagSnapshotBoundary != 1<<0 || FlagControl != 1<<1 || FlagBatchContinues != 1<<2 ||
		FooterSealed != 1<<0 || FooterCompacted != 1<<1 || FooterPartial != 1<<2 || FooterFlushFailure != 1<<3 ||
		sectionFrames != 1 || sectionDictionary != 2 || sectionFilters != 3 {
		t.Error("a flag or a section has another number")
	}
	for _, sentence := range []string{
		fmt.Sprintf("a mark pair (%d bytes at most), a seal mark (%d)", MarkPairBytesMax, SealMarkBytes),
		fmt.Sprintf("+ %d bytes, rounded up to 8", indexFixedBytesMax),
		fmt.Sprintf("longer than both %d\nbytes and 1/%d of the record bytes", dictionaryBytesMin, dictionaryShare),
		fmt.Sprintf("× ceil((%d n + %d) / 64) bytes", filterBitsPerSubject, filterBitsExtra),
		fmt.Sprintf("i = 0..%d", filterProbes-1),
	} {
		if !strings.Contains(text, sentence) {
			t.Errorf("the page does not say %q", sentence)
		}
	}
}
