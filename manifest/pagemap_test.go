package manifest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A pageMap is held against a map of the language, and its published copies
// against what they were.
func TestPageMapBehavesAsASortedMapAndKeepsItsSnapshots(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var m pageMap[uint64, int]
	model := map[uint64]int{}
	token := new(editToken)
	type snapshot struct {
		m     pageMap[uint64, int]
		model map[uint64]int
	}
	var snapshots []snapshot
	for i := range 20_000 {
		key := random.Uint64N(3000)
		if i%3 == 0 {
			key = uint64(3000 + i) // growing ids, as segments have them
		}
		if random.IntN(4) == 0 {
			m.remove(token, key)
			delete(model, key)
		} else {
			m.set(token, key, i)
			model[key] = i
		}
		if i%2000 == 0 {
			snapshots = append(snapshots, snapshot{m, maps.Clone(model)})
			token = new(editToken)
		}
	}
	snapshots = append(snapshots, snapshot{m, model})
	for _, s := range snapshots {
		comparePageMap(t, &s.m, s.model)
	}
}

func comparePageMap(t *testing.T, m *pageMap[uint64, int], model map[uint64]int) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(model))
	if m.size != len(keys) {
		t.Fatalf("size is %d, not %d", m.size, len(keys))
	}
	at := 0
	for key, value := range m.all() {
		if at >= len(keys) || key != keys[at] || value != model[key] {
			t.Fatalf("entry %d is %d=%d", at, key, value)
		}
		at++
	}
	if last, found := m.last(); found != (at > 0) || found && last != model[keys[at-1]] {
		t.Fatalf("last is %d, %v", last, found)
	}
	for _, key := range []uint64{0, 1, 1500, 2999, 3000, 9000, 1 << 40} {
		value, found := m.get(key)
		if want, has := model[key]; found != has || value != want {
			t.Errorf("key %d is %d, %v", key, value, found)
		}
		place, has := slices.BinarySearch(keys, key)
		before, after := m.neighbors(key)
		if (before != nil) != (place > 0) || before != nil && before.key != keys[place-1] {
			t.Errorf("before %d: %+v", key, before)
		}
		if has {
			place++
		}
		if (after != nil) != (place < len(keys)) || after != nil && after.key != keys[place] {
			t.Errorf("after %d: %+v", key, after)
		}
	}
	for _, p := range m.pages {
		if len(p.entries) == 0 || len(p.entries) > pageEntriesMax {
			t.Errorf("a page has %d entries", len(p.entries))
		}
	}
}
