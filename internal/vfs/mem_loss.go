package vfs

// This file decides what a crash or a failed sync does to one simulated file.

type tearing int

const (
	tearNothing tearing = iota
	tearSectors
	tearInside // also inside sectors
)

// keep copies a page from the live to the durable image, as far as that has it.
func (c *memContent) keep(page int, tear tearing) {
	from := page * pageBytes
	to := min(from+pageBytes, c.size, len(c.durable))
	if c.sizePending {
		to = min(to, c.trimmedTo) // what is behind belongs to another content
	}
	if from >= to {
		return
	}
	live := c.live.bytes()
	if tear == tearNothing {
		copy(c.durable[from:to], live[from:to])
		return
	}
	for sector := from; sector < to; sector += sectorBytes {
		end := min(sector+sectorBytes, to)
		switch {
		case tear == tearInside && c.random.percent(10):
			end = min(sector+c.random.below(sectorBytes), end)
		case !c.random.percent(60):
			continue
		}
		copy(c.durable[sector:end], live[sector:end])
	}
}

// failSync is a sync that failed: nothing, some pages or most of them got to the
// disk, and none will be tried again.
func (c *memContent) failSync(loseSize bool) {
	chance := []int{0, 40, 85}[c.random.below(3)]
	for _, page := range c.dirty {
		if c.random.percent(chance) {
			c.keep(int(page), tearing(c.random.below(2)))
		}
		c.pages[page] &^= pageDirty
	}
	c.dirty = c.dirty[:0]
	if loseSize {
		c.sizePending = false
	}
}

// powerCut settles what the file is from now on. The space that it had was
// given back already.
func (c *memContent) powerCut(inside bool) {
	if c.sizePending && c.random.percent(50) {
		if c.trimmedTo < c.size && c.random.percent(25) {
			// Only the truncation got through, not the growth that followed.
			c.durable = resized(c.durable, min(c.trimmedTo, len(c.durable)))
		} else {
			c.settleSize()
		}
	}
	c.keepSome(inside)
	c.sizePending = false
	used := c.size
	c.size = len(c.durable)
	c.live.replace(c.durable, used)
	c.occupyAfterCut()
}

func (c *memContent) keepSome(inside bool) {
	const (
		none = iota
		all
		some
		torn
	)
	mode := c.random.below(4)
	for _, page := range c.dirty {
		c.pages[page] &^= pageDirty
		tear := tearNothing
		if c.random.percent(40) {
			tear = tearSectors
			if inside {
				tear = tearInside
			}
		}
		switch {
		case mode == all:
			c.keep(int(page), tearNothing)
		case mode == torn, mode == some && c.random.percent(50):
			c.keep(int(page), tear)
		}
	}
	c.dirty = c.dirty[:0]
}

// occupyAfterCut gives the file the space of its new size. A hole stays one; a
// page that came back with the old size had its space all along: the disk was
// large enough for it, so there is no limit here.
func (c *memContent) occupyAfterCut() {
	c.pages = c.pages[:min(len(c.pages), pagesIn(c.size))]
	for len(c.pages) < pagesIn(c.size) {
		c.pages = append(c.pages, pageOccupied)
	}
	for _, page := range c.pages {
		if page&pageOccupied != 0 {
			c.space.used++
		}
	}
}

// dropClean makes the live image of every clean page what the disk has.
func (c *memContent) dropClean() {
	end := min(c.size, len(c.durable))
	if c.sizePending {
		end = min(end, c.trimmedTo)
	}
	for page := range c.pages {
		from, to := page*pageBytes, min((page+1)*pageBytes, end)
		if from < to && c.pages[page]&pageDirty == 0 {
			c.live.write(c.durable[from:to], from)
		}
	}
}

// corrupt changes a sector of the durable image, and of the live one where it
// would be read from the disk. It reports whether the file has that sector.
func (c *memContent) corrupt(offset int64, change func(sector []byte)) bool {
	if offset < 0 || offset >= int64(len(c.durable)) {
		return false
	}
	from := int(offset) / sectorBytes * sectorBytes
	to := min(from+sectorBytes, len(c.durable))
	change(c.durable[from:to])
	shown := min(to, c.size)
	if c.sizePending {
		shown = min(shown, c.trimmedTo)
	}
	page := pageOf(from)
	if int(offset) < shown && (page >= len(c.pages) || c.pages[page]&pageDirty == 0) {
		// Only what is damaged changes: a page that a failed sync left clean
		// keeps what the disk never got.
		sector := append([]byte(nil), c.live.bytes()[from:shown]...)
		change(sector)
		c.live.write(sector, from)
	}
	return true
}
