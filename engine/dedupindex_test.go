package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// naiveIDs is the window as a list.
type naiveIDs struct {
	window int64
	idsMax int
	list   []naiveID
}

type naiveID struct {
	id   string
	seq  uint64
	time int64
}

func (n *naiveIDs) expire(now int64) {
	for len(n.list) > 0 && now-n.list[0].time > n.window {
		n.list = n.list[1:]
	}
}

func (n *naiveIDs) lookup(id string, now int64) (uint64, bool) {
	n.expire(now)
	for i := len(n.list) - 1; i >= 0; i-- {
		if n.list[i].id == id {
			return n.list[i].seq, true
		}
	}
	return 0, false
}

func (n *naiveIDs) add(id string, seq uint64, now int64) {
	if len(n.list) == n.idsMax {
		n.list = n.list[1:]
	}
	n.list = append(n.list, naiveID{id, seq, now})
}

func TestDedupIndexAnswersLikeAList(t *testing.T) {
	for _, c := range []struct {
		idsMax, distinct int
		window           int64
	}{
		{1, 3, 100}, {7, 20, 1000}, {255, 400, 1 << 40}, {256, 300, 5000}, {257, 2000, 1 << 40}, {3000, 4000, 20_000}, {5000, 1 << 30, 1 << 40},
	} {
		t.Run(fmt.Sprint(c.idsMax, " of ", c.distinct), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(c.idsMax), uint64(c.distinct)))
			index := newDedupIndex(DedupOptions{IDsMax: c.idsMax, Window: time.Duration(c.window)})
			model := &naiveIDs{window: c.window, idsMax: c.idsMax}
			var now int64
			for step := range 9000 {
				now += int64(random.IntN(10))
				if random.IntN(500) == 0 {
					now += c.window / 2
				}
				id := fmt.Sprint(random.IntN(c.distinct))
				want, known := model.lookup(id, now)
				got, found := index.lookup([]byte(id), now)
				if found != known || got != want {
					t.Fatalf("step %d: id %s is %d %v, want %d %v", step, id, got, found, want, known)
				}
				// A rebuild adds ids twice if the log holds them twice.
				if !known || random.IntN(50) == 0 {
					model.add(id, uint64(step), now)
					index.add([]byte(id), uint64(step), now)
				}
			}
			if held := int(index.newest - index.oldest); held != len(model.list) || held > c.idsMax {
				t.Errorf("%d ids are held, want %d", held, len(model.list))
			}
		})
	}
}

func TestDedupIndexSaysHowFarBackItRemembers(t *testing.T) {
	index := newDedupIndex(DedupOptions{IDsMax: 10, Window: 1000})
	for n := range 10 {
		index.add(fmt.Append(nil, n), uint64(n), int64(n))
	}
	if got := index.effectiveWindow(9); got != 1000 {
		t.Errorf("window %d before any id was pushed out", got)
	}
	index.add([]byte("eleventh"), 11, 50)
	if got := index.effectiveWindow(60); got != 59 { // the oldest is of time 1
		t.Errorf("window %d while the number of ids binds", got)
	}
	if _, found := index.lookup([]byte("0"), 60); found {
		t.Error("the id that was pushed out is found")
	}
	if _, found := index.lookup([]byte("eleventh"), 1050); !found {
		t.Error("an id is forgotten at the end of its window")
	}
	if got := index.effectiveWindow(1050); got != 1000 {
		t.Errorf("window %d when age binds again", got)
	}
}

func TestDedupIndexTakesNoMemoryOnceItIsFull(t *testing.T) {
	index := newDedupIndex(DedupOptions{IDsMax: 1000, Window: time.Hour})
	var id [8]byte
	add := func() {
		id[0]++
		if id[0] == 0 {
			id[1]++
		}
		if _, found := index.lookup(id[:], 1); !found {
			index.add(id[:], 1, 1)
		}
	}
	for range 3000 {
		add()
	}
	if allocations := testing.AllocsPerRun(2000, add); allocations != 0 {
		t.Errorf("%v allocations an id", allocations)
	}
}
