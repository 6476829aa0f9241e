package engine

import (
	"errors"
	"fmt"
	"testing"
)

// BenchmarkAppendIf is an append with a condition on a log of 1,000 sealed
// segments: a record of a subject that is new, and one whose filter matches
// nothing.
func BenchmarkAppendIf(b *testing.B) {
	const segments = 1000
	l := openBench(b, smallSegments())
	for n := 0; len(*l.segments.Load()) <= segments; n++ {
		rec := Record{Subject: fmt.Appendf(nil, "old.%d", n), Payload: make([]byte, 1000)}
		_, err := l.Append(&rec)
		for errors.Is(err, ErrBackpressure) {
			if err := l.Wait(b.Context(), l.Watermarks().Appended, Durable); err != nil {
				b.Fatal(err)
			}
			_, err = l.Append(&rec)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for _, bench := range []struct{ name, filter string }{{"new subject", ""}, {"no match", "none.*"}, {"no match below what is there", "old.*.x"}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n++
				rec := Record{Subject: fmt.Appendf(nil, "new.%d", n), Payload: []byte("x")}
				c := lastOfSubject(bench.filter, 0)
				_, err := l.AppendIf(&rec, c)
				for errors.Is(err, ErrBackpressure) {
					l.moves.Wait()
					_, err = l.AppendIf(&rec, c)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
