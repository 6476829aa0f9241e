package bridge

import "time"

// relayEndTimeout bounds how long the last events may take to leave.
const relayEndTimeout = 2 * time.Second

// relayEvents begins to publish events.
func (b *Bridge) relayEvents() error {
	names := make([]string, 0, len(b.options.Logs))
	for _, log := range b.options.Logs {
		names = append(names, log.Name)
	}
	if err := b.options.Events.attach(b.options.Prefix, names, b.general.Publish); err != nil {
		return err
	}
	b.relayed = true
	return nil
}

// endRelay publishes the last events. A connection that takes none for too long
// is closed, which releases who writes to it.
func (b *Bridge) endRelay() {
	if !b.relayed {
		return
	}
	b.relayed = false
	ended := b.options.Events.detach()
	timer := time.NewTimer(relayEndTimeout)
	defer timer.Stop()
	select {
	case <-ended:
		if b.general.IsConnected() {
			_ = b.general.FlushTimeout(relayEndTimeout) // what does not arrive is lost: nobody is owed it
		}
	case <-timer.C:
		b.general.Close()
		<-ended
	}
	b.options.Events.forget()
}
