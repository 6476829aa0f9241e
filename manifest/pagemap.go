package manifest

// This file is the ordered map under State: immutable once published, cheap to
// change by copying one page, so that a million segments cost neither a copy a
// record nor a lock for readers.

import (
	"cmp"
	"iter"
	"slices"
)

const pageEntriesMax = 256

// editToken is the right to change pages in place: those that carry the same
// token were made by its holder and nobody else has seen them.
type editToken struct{ _ byte }

type pageEntry[K cmp.Ordered, V any] struct {
	key   K
	value V
}

type page[K cmp.Ordered, V any] struct {
	edit    *editToken
	entries []pageEntry[K, V] // by key, never empty
}

// pageMap is a sorted map. Copies of the struct are snapshots, as long as each
// holder changes its copy with a token of its own.
type pageMap[K cmp.Ordered, V any] struct {
	edit  *editToken // of the pages slice
	pages []*page[K, V]
	size  int
}

// find returns the page and the place in it where key is or belongs.
func (m *pageMap[K, V]) find(key K) (pageAt, at int, found bool) {
	pageAt, _ = slices.BinarySearchFunc(m.pages, key, func(p *page[K, V], key K) int {
		return cmp.Compare(p.entries[len(p.entries)-1].key, key)
	})
	if pageAt == len(m.pages) {
		if pageAt == 0 {
			return 0, 0, false
		}
		pageAt--
	}
	at, found = slices.BinarySearchFunc(m.pages[pageAt].entries, key, func(e pageEntry[K, V], key K) int {
		return cmp.Compare(e.key, key)
	})
	return pageAt, at, found
}

func (m *pageMap[K, V]) get(key K) (value V, found bool) {
	pageAt, at, found := m.find(key)
	if found {
		value = m.pages[pageAt].entries[at].value
	}
	return value, found
}

// neighbors are the entries right before and after key, without key itself.
func (m *pageMap[K, V]) neighbors(key K) (before, after *pageEntry[K, V]) {
	if len(m.pages) == 0 {
		return nil, nil
	}
	pageAt, at, found := m.find(key)
	entries := m.pages[pageAt].entries
	switch {
	case at > 0:
		before = &entries[at-1]
	case pageAt > 0:
		previous := m.pages[pageAt-1].entries
		before = &previous[len(previous)-1]
	}
	if found {
		at++
	}
	switch {
	case at < len(entries):
		after = &entries[at]
	case pageAt+1 < len(m.pages):
		after = &m.pages[pageAt+1].entries[0]
	}
	return before, after
}

func (m *pageMap[K, V]) last() (value V, found bool) {
	if len(m.pages) == 0 {
		return value, false
	}
	entries := m.pages[len(m.pages)-1].entries
	return entries[len(entries)-1].value, true
}

// all visits the entries in the order of their keys.
func (m *pageMap[K, V]) all() iter.Seq2[K, V] {
	pages := m.pages
	return func(yield func(K, V) bool) {
		for _, p := range pages {
			for i := range p.entries {
				if !yield(p.entries[i].key, p.entries[i].value) {
					return
				}
			}
		}
	}
}

// own makes the page at an index changeable in place.
func (m *pageMap[K, V]) own(edit *editToken, pageAt int) *page[K, V] {
	m.ownPages(edit)
	p := m.pages[pageAt]
	if p.edit != edit {
		p = &page[K, V]{edit: edit, entries: slices.Clone(p.entries)}
		m.pages[pageAt] = p
	}
	return p
}

func (m *pageMap[K, V]) ownPages(edit *editToken) {
	if m.edit != edit {
		m.pages = slices.Clone(m.pages)
		m.edit = edit
	}
}

func (m *pageMap[K, V]) set(edit *editToken, key K, value V) {
	if len(m.pages) == 0 {
		m.ownPages(edit)
		m.pages = append(m.pages, &page[K, V]{edit: edit, entries: []pageEntry[K, V]{{key, value}}})
		m.size = 1
		return
	}
	pageAt, at, found := m.find(key)
	p := m.own(edit, pageAt)
	if found {
		p.entries[at].value = value
		return
	}
	m.size++
	p.entries = slices.Insert(p.entries, at, pageEntry[K, V]{key, value})
	if len(p.entries) <= pageEntriesMax {
		return
	}
	cut := len(p.entries) / 2
	if at == len(p.entries)-1 {
		cut = at // keys mostly grow: leave full pages behind
	}
	right := &page[K, V]{edit: edit, entries: slices.Clone(p.entries[cut:])}
	clear(p.entries[cut:])
	p.entries = p.entries[:cut]
	m.pages = slices.Insert(m.pages, pageAt+1, right)
}

func (m *pageMap[K, V]) remove(edit *editToken, key K) {
	pageAt, at, found := m.find(key)
	if !found {
		return
	}
	p := m.own(edit, pageAt)
	m.size--
	p.entries = slices.Delete(p.entries, at, at+1)
	if len(p.entries) == 0 {
		m.pages = slices.Delete(m.pages, pageAt, pageAt+1)
	}
}
