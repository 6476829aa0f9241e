package segment

import (
	"os"
	"path/filepath"
	"testing"
)

// Every decoder is fuzzed, with the golden files as its seeds. fuzzSalt is the
// salt of those files: with it the fuzzer starts from records that verify.
const fuzzSalt = testSalt

func seed(f *testing.F, add func(b []byte)) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "*.*"))
	if err != nil || len(paths) < 10 {
		f.Fatalf("golden files: %v, %v", paths, err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		add(b)
		if len(b) > 300 {
			add(b[:len(b)-len(b)/3])
			add(append(flip(b, len(b)/2), make([]byte, 600)...))
		}
	}
	add(nil)
}

func FuzzDecodeHeader(f *testing.F) {
	seed(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(b)
		if err != nil {
			return
		}
		again, err := DecodeHeader(encodedHeader(h))
		if err != nil || again != h {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	seed(f, func(b []byte) { f.Add(b, true) })
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		b = cloneBytes(b)
		if n := len(b) &^ 7; mend && n >= RecordBytesMin { // let the fuzzer past the checksums
			b = b[:n]
			sealChecksums(b, fuzzSalt)
		}
		var r Record
		n, err := DecodeRecord(b, fuzzSalt, &r)
		if n == 0 {
			if err == nil {
				t.Fatal("neither a record nor an error")
			}
			return
		}
		if n > len(b) || n%8 != 0 || n != RecordBytes(len(r.Subject), len(r.Headers), len(r.Payload)) {
			t.Fatalf("length %d of %d: %+v", n, len(b), r)
		}
		encoded := AppendRecord(nil, fuzzSalt, &r)
		var again Record
		if m, err2 := DecodeRecord(encoded, fuzzSalt, &again); m != n || (err == nil) != (err2 == nil) || again.Seq != r.Seq {
			t.Fatalf("encoded again: %d, %v", m, err2)
		}
	})
}

func FuzzScan(f *testing.F) {
	seed(f, func(b []byte) {
		f.Add(b, uint64(1001), uint64(0), int64(0), uint64(0), false)
		f.Add(b, uint64(1001), uint64(1<<20), int64(0), uint64(0), false)
		f.Add(b, uint64(1001), uint64(0), int64(0), uint64(1005), true)
		f.Add(b, uint64(1001), uint64(1<<20), int64(600), uint64(1003), true)
	})
	f.Fuzz(func(t *testing.T, b []byte, base, allocated uint64, recordsEnd int64, lastSeq uint64, complete bool) {
		h := testHeader()
		h.BaseSeq, h.AllocatedBytes = base, allocated
		known := Known{RecordsEnd: recordsEnd, LastSeq: lastSeq, Complete: complete}
		r := Scan(b, h, known)
		if base == 0 || base > SeqMax || recordsEnd%8 != 0 || lastSeq > SeqMax || complete && lastSeq+1 < base {
			return // no header, footer or seal says so: it must not panic, that is all
		}
		checkResult(t, b, h, known, r)
		block, sum := BuildIndex(b, h, r.Extents)
		if int64(len(block)) > IndexBytesMax(r.RecordsEnd-HeaderBytes) || sum.LastSeq != r.LastSeq {
			t.Fatalf("index of %d bytes, %+v", len(block), sum)
		}
		if !useIndex(block) {
			t.Fatal("its own index does not decode")
		}
	})
}

func FuzzDamageAt(f *testing.F) {
	seed(f, func(b []byte) {
		f.Add(b, int64(HeaderBytes), uint64(1001), int64(0), uint64(0), false)
		f.Add(b, int64(400), uint64(1003), int64(0), uint64(1005), true)
	})
	f.Fuzz(func(t *testing.T, b []byte, offset int64, want uint64, recordsEnd int64, lastSeq uint64, complete bool) {
		e := DamageAt(b, offset, testHeader(), want, Known{RecordsEnd: recordsEnd, LastSeq: lastSeq, Complete: complete})
		if e.Offset != offset || e.End < e.Offset || e.FirstSeq != want {
			t.Fatalf("%+v", e)
		}
		if want > 0 && want <= SeqMax && lastSeq <= SeqMax && e.LastSeq+1 < e.FirstSeq {
			t.Fatalf("%+v", e)
		}
	})
}

func FuzzDecodeIndex(f *testing.F) {
	for _, subjects := range []int{3, 30, 2000} {
		b, h := subjectsSegment(random(uint64(subjects)), 20<<10, subjects, 100)
		block, _ := BuildIndex(b, h, Scan(b, h, Known{}).Extents)
		f.Add(block)
	}
	seed(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(_ *testing.T, b []byte) { useIndex(b) })
}

func FuzzDecodeFooter(f *testing.F) {
	seed(f, func(b []byte) {
		f.Add(b)
		if len(b) > FooterBytes {
			f.Add(b[len(b)-FooterBytes:])
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		if footer, err := DecodeFooter(b); err == nil {
			if again, err := DecodeFooter(encodedFooter(footer)); err != nil || again != footer {
				t.Fatalf("%+v, %v", again, err)
			}
		}
		h := testHeader()
		footer, at, ok := FindFooter(b, h.LogID, h.ID)
		if ok && (at < HeaderBytes || at+FooterBytes > int64(len(b)) || footer.IndexOffset+footer.IndexBytes != uint64(at)) {
			t.Fatalf("%d of %d: %+v", at, len(b), footer)
		}
	})
}
