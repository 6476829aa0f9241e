package manifest

// This file compares the tables of docs/manifest-format.md with the code, and
// writes them with -update.

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
)

const documentPath = "../docs/manifest-format.md"

// recordHeaderRows is the record's header; TestRecordHeaderHasTheDocumentedLayout
// holds it against encoded bytes.
var recordHeaderRows = []struct {
	offset int
	kind   string
	name   string
}{
	{0, "u64", "CRC-64 of byte 8 to the end of the zeros behind the payload"},
	{8, "u16", "type"},
	{10, "u16", "flags: low byte must be understood; none is defined"},
	{12, "u32", "payload length"},
	{16, "u64", "segment id, 0 if none"},
	{24, "u64", "logical offset"},
	{32, "i64", "timestamp"},
	{40, "u64", "ordinal"},
	{48, "u32", "unsynced"},
	{52, "u32", "CRC-32C of bytes 8 to 51"},
}

func documentTables() map[string]string {
	tables := map[string]string{
		"location":        fieldTable(&Location{}),
		"chunk header":    headerTable(chunkMagic, chunkVersion, &ChunkHeader{}),
		"snapshot header": headerTable(snapshotMagic, snapshotVersion, &SnapshotHeader{}),
		"log state":       fieldTable(&LogState{}),
		"segment":         fieldTable(&Segment{}),
		"upload":          fieldTable(&Upload{}),
		"delete":          fieldTable(&Delete{}),
		"dictionary":      fieldTable(&Dictionary{}),
	}
	var rows [][]string
	for _, row := range recordHeaderRows {
		rows = append(rows, []string{fmt.Sprint(row.offset), row.kind, row.name})
	}
	tables["record header"] = table([]string{"offset", "type", "field"}, rows)
	rows = nil
	for _, info := range RecordTypes() {
		rows = append(rows, []string{fmt.Sprint(int(info.Type)), info.Name, info.Scope.String(), fieldList(info.Fields)})
	}
	tables["record types"] = table([]string{"id", "name", "segment", "payload"}, rows)
	rows = nil
	for _, reason := range Reasons() {
		rows = append(rows, []string{fmt.Sprint(int(reason.Code)), reason.Name, reason.Meaning})
	}
	tables["reason codes"] = table([]string{"code", "name", "meaning"}, rows)
	rows = nil
	for kind := SectionLog; kind <= SectionCatalog; kind++ {
		rows = append(rows, []string{fmt.Sprint(int(kind)), kind.String(), sectionContents[kind]})
	}
	tables["sections"] = table([]string{"kind", "name", "items"}, rows)
	tables["subject summaries"] = table([]string{"kind", "meaning"}, [][]string{
		{fmt.Sprint(SummaryNone), "nothing is known; *subjects* is empty"},
		{fmt.Sprint(SummaryExact), fmt.Sprintf("all subjects, at most %d", exactSubjectsMax)},
		{fmt.Sprint(SummaryFilter), "a filter with less than 1 % false positives"},
	})
	return tables
}

var sectionContents = map[SectionKind]string{
	SectionLog: "one", SectionSegments: "by segment id", SectionUploads: "by key", SectionDeletes: "by key",
	SectionDictionaries: "by dictionary id", SectionCatalog: "none; reserved for 64 bytes a page",
}

func fieldList(fields []Field) string {
	var parts []string
	for _, field := range fields {
		parts = append(parts, field.Type+" "+field.Name)
	}
	return strings.Join(parts, ", ")
}

func fieldTable(s structure) string {
	var rows [][]string
	for _, field := range describeStructure(s) {
		rows = append(rows, []string{field.Type, field.Name})
	}
	return table([]string{"type", "field"}, rows)
}

func headerTable(magic string, version int, s structure) string {
	rows := [][]string{
		{"0", "u8[8]", "magic `" + magic + "`"},
		{"8", "u16", fmt.Sprintf("version = %d", version)},
		{"10", "u16", fmt.Sprintf("header length = %d", chunkHeaderBytes)},
	}
	sizes := map[string]int{"u32": 4, "u64": 8, "i64": 8}
	offset := 12
	for _, field := range describeStructure(s) {
		rows = append(rows, []string{fmt.Sprint(offset), field.Type, field.Name})
		offset += sizes[field.Type]
	}
	rows = append(rows, []string{fmt.Sprint(offset), fmt.Sprintf("u8[%d]", 124-offset), "reserved"},
		[]string{"124", "u32", "CRC-32C of bytes 0 to 123"})
	return table([]string{"offset", "type", "field"}, rows)
}

func table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	line(strings.Fields(strings.Repeat("--- ", len(head))))
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

func TestDocumentedTablesAreThoseOfTheCode(t *testing.T) {
	page, err := os.ReadFile(documentPath)
	must(t, err)
	text := string(page)
	for name, want := range documentTables() {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
		_, behind, found := strings.Cut(text, begin)
		if !found || !strings.Contains(behind, end) {
			t.Errorf("the page has no table %q", name)
			continue
		}
		got, _, _ := strings.Cut(behind, end)
		if *update {
			text = strings.Replace(text, begin+got+end, begin+"\n"+want+"\n"+end, 1)
		} else if strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("table %q is\n%s\nthe code says\n%s", name, got, want)
		}
	}
	if *update {
		must(t, os.WriteFile(documentPath, []byte(text), 0o644))
	}
}

func TestRecordHeaderHasTheDocumentedLayout(t *testing.T) {
	r := Record{Flags: 0x0300, SegmentID: 4, LogicalOffset: 5, TimestampNs: 6, Ordinal: 7, UnsyncedBytes: 8,
		Payload: &Raw{Type: TypeUserFirst, Bytes: []byte{1, 2, 3}}}
	b, err := EncodeRecord(nil, &r)
	must(t, err)
	finishRecord(b, 8)
	want := map[string]uint64{"type": 1024, "flags: low byte must be understood; none is defined": 0x0300, "payload length": 3,
		"segment id, 0 if none": 4, "logical offset": 5, "timestamp": 6, "ordinal": 7, "unsynced": 8}
	for _, row := range recordHeaderRows {
		value, listed := want[row.name]
		if !listed {
			continue // the checksums: every golden record has them
		}
		var got uint64
		switch row.kind {
		case "u16":
			got = uint64(binary.LittleEndian.Uint16(b[row.offset:]))
		case "u32":
			got = uint64(binary.LittleEndian.Uint32(b[row.offset:]))
		default:
			got = binary.LittleEndian.Uint64(b[row.offset:])
		}
		if got != value {
			t.Errorf("%s at %d is %d, not %d", row.name, row.offset, got, value)
		}
		delete(want, row.name)
	}
	if len(want) > 0 {
		t.Errorf("not in the table: %v", want)
	}
}

func TestEveryReasonAndTypeStandsAtItsOwnPlace(t *testing.T) {
	for i, reason := range Reasons() {
		if int(reason.Code) != i || reason.Code.String() != reason.Name {
			t.Errorf("reason %d is at %d with name %s", reason.Code, i, reason.Code)
		}
	}
	for i, info := range RecordTypes() {
		if int(info.Type) != i || newPayload(info.Type).RecordType() != info.Type || info.Type.String() != info.Name {
			t.Errorf("type %d is at %d with name %s", info.Type, i, info.Type)
		}
	}
	for text, got := range map[string]fmt.Stringer{"reason_99": Reason(99), "type_99": RecordType(99), "user_1024": TypeUserFirst,
		"tier_3": Tier(3), "section_9": SectionKind(9), "hot+cold": TierSet(5), "none": TierSet(0)} {
		if got.String() != text {
			t.Errorf("%s is named %s", text, got)
		}
	}
}
