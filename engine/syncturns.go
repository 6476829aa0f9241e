package engine

// syncsAtOnce is how many logs of an engine sync at the same time. More of them
// only queue inside the kernel, where records that arrive meanwhile cannot join
// any more, and each costs the processor as much as a sync that carries many.
// docs/adr/0012 has the figures.
const syncsAtOnce = 4

// syncTurns lets a bounded number of committers sync at once, first come first
// served.
type syncTurns chan struct{}

func newSyncTurns() syncTurns { return make(syncTurns, syncsAtOnce) }

// tryTake takes a turn if one is free.
func (t syncTurns) tryTake() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// take waits for a turn: for as long as the syncs of others last.
func (t syncTurns) take() { t <- struct{}{} }

func (t syncTurns) giveBack() { <-t }
