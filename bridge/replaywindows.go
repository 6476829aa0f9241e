package bridge

// replayWindows shares out how much all readers together may have been sent and
// not answered for. Half of it is kept back in equal shares, one for each replay
// that may run, so that the first ones leave something to the last.
type replayWindows struct {
	free  int64 // not granted
	slots int64 // replays that may still begin
	share int64 // what each of them finds at least
}

func newReplayWindows(o *Options) replayWindows {
	slots := int64(o.ReplaysMax)
	return replayWindows{free: o.ReplayWindowsBytes, slots: slots, share: o.ReplayWindowsBytes / 2 / slots}
}

// take grants as much of what is wanted as can be had.
func (w *replayWindows) take(wanted int64) (granted int64) {
	w.slots--
	granted = min(wanted, w.free-w.slots*w.share)
	w.free -= granted
	return granted
}

// giveBack returns what take has granted.
func (w *replayWindows) giveBack(granted int64) {
	w.slots++
	w.free += granted
}
