package segment

import (
	"testing"
)

// benchRecord has the payload that the project's bars are stated for.
func benchRecord() Record {
	return Record{Seq: 1, Timestamp: 1, Subject: []byte("orders.eu"), Payload: fill(128)}
}

// BenchmarkLimit is what an append or a read is measured against: a copy and a
// CRC-64 of 128 bytes.
func BenchmarkLimit(b *testing.B) {
	payload, dst := fill(128), make([]byte, 128)
	b.SetBytes(128)
	for b.Loop() {
		copy(dst, payload)
		if CRC64(dst) == 0 {
			b.Fatal("unlikely")
		}
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	r := benchRecord()
	buffer := make([]byte, 0, 4096)
	b.SetBytes(int64(RecordBytes(len(r.Subject), 0, len(r.Payload))))
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendRecord(buffer[:0], testSalt, &r)
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	r := benchRecord()
	encoded := AppendRecord(nil, testSalt, &r)
	b.SetBytes(int64(len(encoded)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRecord(encoded, testSalt, &r); err != nil {
			b.Fatal(err)
		}
	}
}

// benchSegment holds 64 MiB of 128-byte payloads on 100 subjects.
func benchSegment() ([]byte, Header) {
	const size = 64 << 20
	w := newBuilder()
	b := make([]byte, 0, size)
	b = append(b, w.b...)
	subject := []byte("orders.00")
	payload := fill(128)
	for len(b)+256 < size {
		subject[7], subject[8] = '0'+byte(w.next%10), '0'+byte(w.next/10%10)
		b = AppendRecord(b, testSalt, &Record{Seq: w.next, Timestamp: int64(w.next), Unsynced: 200, Subject: subject, Payload: payload})
		w.next++
	}
	return b, w.header
}

func BenchmarkScan(b *testing.B) {
	file, h := benchSegment()
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if r := Scan(file, h, Known{}); r.Cut != nil || r.Damaged() {
			b.Fatal(r)
		}
	}
}

// BenchmarkScanBehindDamage has one bad record at the start of the file and
// nothing that verifies behind it.
func BenchmarkScanBehindDamage(b *testing.B) {
	file, h := benchSegment()
	h.Salt++
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if r := Scan(file, h, Known{}); !r.Damaged() {
			b.Fatal(r)
		}
	}
}

func BenchmarkScanOfHostileBytes(b *testing.B) {
	file, h := hostileBytes(16 << 20)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		Scan(file, h, Known{})
	}
}

func BenchmarkBuildIndex(b *testing.B) {
	file, h := benchSegment()
	extents := Scan(file, h, Known{}).Extents
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		BuildIndex(file, h, extents)
	}
}

func BenchmarkFindFooterInVain(b *testing.B) {
	file, h := benchSegment()
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, _, ok := FindFooter(file, h.LogID, h.ID); ok {
			b.Fatal("found")
		}
	}
}
