package bridge

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/aof-nats/aof-nats/bridge/internal/wire"
)

// Bridge feeds logs from NATS subjects and answers the publishers. Its methods
// are safe for concurrent use.
type Bridge struct {
	options Options
	server  *Server // nil: servers elsewhere
	general *nats.Conn
	conn    *wire.Conn
	intake  *intake
	reads   *readService
	logs    []*boundLog
	metrics *bridgeMetrics
	watch   *overlapWatch
	relayed bool // the relay of events publishes over general

	ackContext context.Context // ends when answers are given up
	giveUp     context.CancelFunc
	ackers     sync.WaitGroup
	stopOnce   sync.Once
	stopErr    error
}

// Start connects, opens the logs, subscribes, and returns once the server has
// taken the subscriptions. ctx bounds all of that. The errors match ErrOptions,
// ErrSubject or ErrOverlap where the configuration is at fault.
func Start(ctx context.Context, options Options) (*Bridge, error) {
	options.ensureDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	b := &Bridge{options: options, metrics: newBridgeMetrics(options.Registerer)}
	b.ackContext, b.giveUp = context.WithCancel(context.Background())
	if err := b.start(ctx); err != nil {
		b.giveUp()
		b.release()
		return nil, err
	}
	return b, nil
}

func (b *Bridge) start(ctx context.Context) error {
	urls := b.options.URLs
	if len(urls) == 0 {
		server, err := StartServer(ServerOptions{
			Listen: b.options.Listen, ConnectionsMax: b.options.ConnectionsMax, Logger: b.options.Logger,
		})
		if err != nil {
			return err
		}
		b.server, urls = server, []string{server.ClientURL()}
	}
	natsOptions, err := b.options.natsOptions(urls)
	if err != nil {
		return err
	}
	if b.server != nil {
		natsOptions.InProcessServer = b.server
	}
	if b.general, err = b.options.connectGeneral(ctx, natsOptions); err != nil {
		return err
	}
	if err := b.relayEvents(); err != nil {
		return err
	}
	if err := b.openLogs(ctx); err != nil {
		return err
	}
	if err := b.subscribe(ctx, natsOptions); err != nil {
		return err
	}
	if err := b.serveReaders(ctx, natsOptions); err != nil {
		return err
	}
	if b.watch, err = startOverlapWatch(ctx, b.general, b.logs, &b.options); err != nil {
		return err
	}
	return b.metrics.register(b)
}

// openLogs opens every log, after it is clear that nobody else answers on its
// subjects.
func (b *Bridge) openLogs(ctx context.Context) error {
	for _, config := range b.options.Logs {
		stream, err := overlappingStream(ctx, b.general, config.Subjects)
		if err != nil {
			return err
		}
		if stream != "" {
			return fmt.Errorf("%w: stream %s and log %s on %s", ErrOverlap, stream, config.Name, strings.Join(config.Subjects, ", "))
		}
		log, err := b.options.Engine.OpenLog(config.Name, config.Options)
		if err != nil {
			return err
		}
		b.logs = append(b.logs, &boundLog{
			config: config, name: config.Name, log: log, options: &b.options, start: b.startAcker,
			ackHead: ackHead(config.Name, b.options.Domain), metrics: b.metrics.forLog(config.Name),
		})
	}
	return nil
}

func (b *Bridge) startAcker(a *acker) {
	b.ackers.Go(func() { a.run(b.ackContext) })
}

// subscribe makes the intake connection with one set of subscriptions per log.
func (b *Bridge) subscribe(ctx context.Context, natsOptions nats.Options) error {
	b.intake = &intake{
		options: &b.options, metrics: b.metrics,
		policy: newPublishPolicy(b.options.Logs, b.options.Prefix), broke: make(chan struct{}, 1),
	}
	conn, err := wire.New(wire.Options{NATS: natsOptions, Handler: b.intake, OnGivenUp: b.intake.noteGivenUp, Logger: b.options.Logger})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	b.intake.conn = conn
	b.intake.bySID = []*boundLog{nil} // subscriptions count from 1
	for _, l := range b.logs {
		for _, subject := range l.config.Subjects {
			conn.Subscribe(subject)
			b.intake.bySID = append(b.intake.bySID, l)
		}
	}
	if err := conn.Connect(ctx); err != nil {
		return fmt.Errorf("connect intake to NATS: %w", err)
	}
	b.conn = conn
	if err := conn.Barrier(ctx); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if complaints := b.intake.complaints(); len(complaints) > 0 {
		return fmt.Errorf("subscribe: the server refuses: %s", strings.Join(complaints, "; "))
	}
	return nil
}

// serveReaders answers those who read the bridge's logs, and those that are only
// to be read.
func (b *Bridge) serveReaders(ctx context.Context, natsOptions nats.Options) error {
	var logs []*readLog
	for _, l := range b.logs {
		logs = append(logs, &readLog{
			name: l.name, log: l.log, subjects: l.config.Subjects, config: l.config, metrics: b.metrics.reads.forLog(l.name),
		})
	}
	others, err := openReadLogs(b.options.Engine, b.options.ReadLogs)
	if err != nil {
		return err
	}
	for _, log := range others {
		logs = append(logs, &readLog{name: log.Name(), log: log, metrics: b.metrics.reads.forLog(log.Name())})
	}
	b.reads, err = startReadService(ctx, natsOptions, logs, b.intake.policy, &b.options, b.general.MaxPayload, b.metrics.reads)
	return err
}

// ClientURL is where publishers connect: the embedded server, or the server
// elsewhere that the bridge uses now.
func (b *Bridge) ClientURL() string {
	if b.server != nil {
		return b.server.ClientURL()
	}
	return b.general.ConnectedUrlRedacted()
}

// release closes whatever Start has made so far.
func (b *Bridge) release() {
	b.giveUp()
	if b.watch != nil {
		b.watch.stop()
	}
	b.metrics.unregister()
	if b.reads != nil {
		b.reads.stop()
	}
	if b.conn != nil {
		b.conn.Close()
	}
	b.ackers.Wait()
	b.endRelay()
	if b.general != nil {
		b.general.Close()
	}
	if b.server != nil {
		b.server.Stop()
	}
}

// pause waits for a while or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
