package vfs

import (
	"syscall"
)

// This file is what a simulated file holds: its live bytes, its durable bytes,
// and which pages and sizes differ. The memory under live maps is in
// mem_buffer.go, what crashes do to it in mem_loss.go.

const (
	pageBytes   = 4096
	sectorBytes = 512

	// fileBytesMax bounds the memory that a wrong offset can ask for.
	fileBytesMax = 4 << 30

	writebackPercent = 4
)

type pageState uint8

const (
	pageDirty    pageState = 1 << iota // written since the last sync
	pageOccupied                       // has space on the disk
)

// memContent is guarded by the lock of its disk.
type memContent struct {
	space  *memSpace
	random *random // the node's

	live    memLive
	size    int    // of the live image
	durable []byte // its length is the durable size

	pages []pageState
	dirty []int32 // the pages marked pageDirty, each once

	// sizePending: the live size, or a truncation on the way to it, is not
	// durable. trimmedTo is then the shortest that the file has been since it
	// was: durable bytes from there on are of a file that is gone.
	sizePending bool
	trimmedTo   int
}

func newMemContent(space *memSpace) *memContent { return &memContent{space: space} }

func pageOf(offset int) int { return offset / pageBytes }

func pagesIn(bytes int) int { return (bytes + pageBytes - 1) / pageBytes }

// write changes the live image. It returns how many bytes there was space for.
func (c *memContent) write(p []byte, offset int) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	end, err := c.occupy(offset, offset+len(p))
	if end <= offset {
		return 0, err
	}
	c.live.reserve(end, c.size)
	if end > c.size {
		c.resizeTo(end)
	}
	c.live.write(p[:end-offset], offset)
	for page := pageOf(offset); page < pagesIn(end); page++ {
		c.markDirty(page)
	}
	if c.random.percent(writebackPercent) {
		c.keep(int(c.dirty[c.random.below(len(c.dirty))]), tearNothing)
	}
	return end - offset, err
}

func (c *memContent) markDirty(page int) {
	if c.pages[page]&pageDirty == 0 {
		c.pages[page] |= pageDirty
		c.dirty = append(c.dirty, int32(page))
	}
}

// coverPages gives the file's pages up to an offset a state, without space.
func (c *memContent) coverPages(end int) {
	for len(c.pages) < pagesIn(end) {
		c.pages = append(c.pages, 0)
	}
}

// occupy finds space for [from, to) and returns where the space ends, with
// ENOSPC if that is before to.
func (c *memContent) occupy(from, to int) (int, error) {
	c.coverPages(to)
	for page := pageOf(from); page < pagesIn(to); page++ {
		if c.pages[page]&pageOccupied != 0 {
			continue
		}
		if !c.space.has(1) {
			return page * pageBytes, syscall.ENOSPC
		}
		c.space.used++
		c.pages[page] |= pageOccupied
	}
	return to, nil
}

// vacant counts the pages of [from, to) that have no space yet.
func (c *memContent) vacant(from, to int) int64 {
	count := int64(0)
	for page := pageOf(from); page < pagesIn(to); page++ {
		if page >= len(c.pages) || c.pages[page]&pageOccupied == 0 {
			count++
		}
	}
	return count
}

// dropFrom gives back the space of pages from one page on, and forgets what was
// to be written of them.
func (c *memContent) dropFrom(page int) {
	kept := c.dirty[:0]
	for _, p := range c.dirty {
		if int(p) < page {
			kept = append(kept, p)
		}
	}
	c.dirty = kept
	for i := page; i < len(c.pages); i++ {
		if c.pages[i]&pageOccupied != 0 {
			c.space.used--
		}
	}
	c.pages = c.pages[:min(page, len(c.pages))]
}

// resizeTo sets the live size without touching bytes: those behind it are zero.
func (c *memContent) resizeTo(size int) {
	if !c.sizePending {
		c.sizePending = true
		c.trimmedTo = len(c.durable)
	}
	c.trimmedTo = min(c.trimmedTo, size)
	c.size = size
}

func (c *memContent) truncate(size int) {
	switch {
	case size < c.size:
		c.live.zero(size, c.size)
		c.resizeTo(size)
		c.dropFrom(pagesIn(size))
	case size > c.size:
		c.live.reserve(size, c.size)
		c.coverPages(size)
		c.resizeTo(size)
	}
}

// allocate extends the file, or changes nothing. Zeros need no dirty pages: a
// durable size has zeros wherever nothing else was kept.
func (c *memContent) allocate(size int) error {
	if size <= c.size {
		return nil
	}
	if !c.space.has(c.vacant(c.size, size)) {
		return syscall.ENOSPC
	}
	if _, err := c.occupy(c.size, size); err != nil {
		return err
	}
	c.live.reserve(size, c.size)
	c.resizeTo(size)
	return nil
}

// read copies live bytes. It returns fewer than asked for only at the end.
func (c *memContent) read(p []byte, offset int64) int {
	if offset >= int64(c.size) {
		return 0
	}
	return copy(p, c.live.bytes()[offset:c.size])
}

// sync makes the file durable.
func (c *memContent) sync() {
	c.settleSize()
	for _, page := range c.dirty {
		c.keep(int(page), tearNothing)
		c.pages[page] &^= pageDirty
	}
	c.dirty = c.dirty[:0]
}

func (c *memContent) settleSize() {
	if !c.sizePending {
		return
	}
	c.sizePending = false
	c.durable = resized(resized(c.durable, min(c.trimmedTo, len(c.durable))), c.size)
}

// resized returns b with another length; bytes that it gains are zero.
func resized(b []byte, size int) []byte {
	switch {
	case size <= len(b):
		return b[:size]
	case size <= cap(b):
		old := len(b)
		b = b[:size]
		clear(b[old:])
		return b
	}
	grown := make([]byte, size, max(size, 2*cap(b)))
	copy(grown, b)
	return grown
}

func checkRange(offset, length int64) error {
	if offset < 0 || length < 0 {
		return syscall.EINVAL
	}
	if length > fileBytesMax || offset > fileBytesMax-length {
		return syscall.EFBIG
	}
	return nil
}
