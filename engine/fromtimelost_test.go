package engine

import (
	"errors"
	"os"
	"testing"
)

// Where a reader is to begin lies in a segment that is lost, or does not, as far as
// the times around it tell. If it does, the reader meets the damage and does not
// begin behind it as if nothing had been there.
func TestReadingFromATimeInsideALostSegmentMeetsTheDamage(t *testing.T) {
	const each, segments = 30, 4
	for _, c := range []struct {
		name        string
		lost        uint64
		sealed      bool // the last segment too
		at          int  // the record whose time is asked for
		first, last uint64
		begins      int // with which records go on
	}{
		{"inside", 2, true, 45, 31, 60, 61},
		{"at its begin", 2, true, 31, 31, 60, 61},
		{"right behind it", 2, true, 61, 31, 60, 61},
		{"behind it", 2, true, 62, 0, 0, 62},
		{"far behind it", 2, true, 95, 0, 0, 95},
		{"in front of it", 2, true, 29, 31, 60, 29},
		{"inside the one in front of the last", 3, false, 65, 61, 90, 91},
		{"behind that", 3, false, 100, 0, 0, 100},
		{"inside the last", 4, true, 100, 91, 120, 0},
		{"inside the first", 1, true, 5, 1, 30, 31},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTieredRoot(t).stepped()
			r.opts.Bucket = ""
			r.open(t)
			r.fill(t, segments-1, each)
			for n := each*(segments-1) + 1; n <= each*segments; n++ {
				rec := tieredRecord(n)
				if _, err := r.log.Append(&rec); err != nil {
					t.Fatal(err)
				}
			}
			commitManual(t, r.log)
			if c.sealed {
				r.seal(t)
			}
			path := r.log.segmentByID(c.lost).path
			r.close(t)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			r.open(t)
			var met *DamageError
			opts := ReadOptions{FromTime: tieredRecord(c.at).Timestamp, SkipDamaged: func(damage *DamageError) {
				if met != nil {
					t.Errorf("more damage: %v", damage)
				}
				met = damage
			}}
			records := readAll(t, r.log, opts)
			switch {
			case c.last == 0 && met != nil:
				t.Errorf("it meets %v", met)
			case c.last > 0 && (met == nil || met.FirstSeq != c.first || met.LastSeq != c.last):
				t.Errorf("it meets %v, want the sequences %d to %d", met, c.first, c.last)
			}
			switch {
			case c.begins == 0 && len(records) > 0:
				t.Errorf("%d records", len(records))
			case c.begins > 0 && (len(records) == 0 || records[0].Seq != uint64(c.begins)):
				t.Errorf("%d records, want them from %d on", len(records), c.begins)
			}
			if c.last == 0 || c.at < int(c.first) {
				return
			}
			opts.SkipDamaged = nil
			reader, err := r.log.NewReader(opts)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := reader.Next(t.Context()); !errors.Is(err, ErrDamaged) {
				t.Errorf("it begins with %v", err)
			}
			if err := reader.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
