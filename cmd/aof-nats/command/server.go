package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/engine"
)

// server is the running `serve`.
type server struct {
	config   *serveConfig
	logger   *slog.Logger
	log      *logWriter // behind logger
	registry *prometheus.Registry
	status   *statusServer // nil: HTTP is off
	engine   *engine.Engine
	logs     []*engine.Log
	bridge   *bridge.Bridge
}

// serve runs until ctx ends, then drains.
func (a *app) serve(ctx context.Context, config *serveConfig) error {
	s := &server{config: config, logger: a.logger(config.logLevel), registry: prometheus.NewRegistry()}
	s.log = a.log
	err := s.start(ctx, a.env.Version)
	if errors.Is(err, context.Canceled) {
		err = nil // told to stop while starting: not a failure
	} else if err == nil {
		<-ctx.Done()
		s.logger.Info("draining", "timeout", config.drainTimeout.String())
	}
	return errors.Join(err, s.stop())
}

// start brings everything up, in the order in which one part needs another.
func (s *server) start(ctx context.Context, version string) error {
	if err := registerProcessMetrics(s.registry, version, s.log); err != nil {
		return err
	}
	if s.config.http != "" {
		status, err := startStatusServer(s.config.http, s.registry, s.config.profiles)
		if err != nil {
			return err
		}
		s.status = status
	}
	if err := s.checkListen(); err != nil {
		return err
	}
	if err := s.openEngine(); err != nil {
		return err
	}
	if err := s.startBridge(ctx); err != nil {
		return err
	}
	if s.status != nil {
		s.status.setReasons(s.bridge.Ready, s.bridge.Warnings)
	}
	s.logger.Info("serving", "nats_url", s.bridge.ClientURL(), "http_url", s.httpURL(), "root", s.config.root, "logs", s.logNames())
	return nil
}

// checkListen makes sure that the embedded server will have its address, and files
// enough: who learns later that they are taken has made a root meanwhile.
func (s *server) checkListen() error {
	if len(s.config.bridge.URLs) > 0 {
		return nil
	}
	if _, err := connectionsMax(len(s.config.bridge.Logs)); err != nil {
		return err
	}
	address := s.config.bridge.Listen
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen for NATS on %s: the address is in use; choose another --listen, port 0 picks a free one", address)
	}
	if err != nil {
		return fmt.Errorf("listen for NATS on %s (choose another with --listen): %w", address, err)
	}
	return listener.Close()
}

// openEngine recovers all logs: those that are fed, with their options, and
// those that only lie on disk.
func (s *server) openEngine() error {
	s.config.engine.Logger = s.logger
	s.config.bridge.Events = bridge.NewEventRelay()
	s.config.engine.OnEvent = s.config.bridge.Events.OnEngineEvent
	opened, err := engine.Open(s.config.root, s.config.engine)
	if err != nil {
		return fmt.Errorf("open root %s: %w", s.config.root, err)
	}
	s.engine = opened
	fed := make(map[string]bool)
	for _, config := range s.config.bridge.Logs {
		fed[config.Name] = true
		if err := s.openLog(config.Name, config.Options); err != nil {
			return err
		}
	}
	names, err := s.engine.Logs()
	if err != nil {
		return err
	}
	for _, name := range names {
		if fed[name] {
			continue
		}
		if err := s.openLog(name, engine.LogOptions{}); err != nil {
			return err
		}
		s.config.bridge.ReadLogs = append(s.config.bridge.ReadLogs, name)
		s.logger.Warn("a log on disk is named by no --log: it can be read and takes no messages", "log", name)
	}
	return s.registry.Register(newEngineCollector(s.engine, s.logs))
}

func (s *server) openLog(name string, options engine.LogOptions) error {
	log, err := s.engine.OpenLog(name, options)
	if err != nil {
		return err
	}
	s.logs = append(s.logs, log)
	for _, damage := range log.State().Recovery.Damaged {
		if !damage.CostsRecords() {
			s.logger.Warn("bytes that hold no record are damaged", "log", name, "path", damage.Path, "offset", damage.Offset, "bytes", damage.Bytes)
			continue
		}
		s.logger.Error("acknowledged records are damaged; run fsck, and restore the file from a copy",
			"log", name, "path", damage.Path, "first_seq", damage.FirstSeq, "last_seq", damage.LastSeq, "error", damage)
	}
	return nil
}

func (s *server) startBridge(ctx context.Context) error {
	options := s.config.bridge
	options.Engine, options.Logger, options.Registerer = s.engine, s.logger, s.registry
	if len(options.URLs) == 0 {
		bound, err := connectionsMax(len(s.logs))
		if err != nil {
			return err
		}
		options.ConnectionsMax = bound
	} else if err := s.sayConnecting(); err != nil {
		return err
	}
	started, err := bridge.Start(ctx, options)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // told to stop while connecting
	}
	if err != nil {
		return fmt.Errorf("start bridge: %w", err)
	}
	s.bridge = started
	return nil
}

// sayConnecting lets who asks know what is waited for: a NATS server elsewhere may
// be away for long.
func (s *server) sayConnecting() error {
	names, err := bridge.ServerNames(s.config.bridge.URLs)
	if err == nil && s.status != nil {
		reason := "starting: not connected to NATS yet: " + strings.Join(names, ", ")
		s.status.setReasons(func() []string { return []string{reason} }, noWarnings)
	}
	return err
}

func (s *server) httpURL() string {
	if s.status == nil {
		return ""
	}
	return s.status.url()
}

func (s *server) logNames() []string {
	names := make([]string, 0, len(s.logs))
	for _, log := range s.logs {
		names = append(names, log.Name())
	}
	return names
}

// stop ends what was started: first the taking of messages, which stores and
// answers what was taken, then the logs, then HTTP, so that a drain can be
// watched.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.drainTimeout)
	defer cancel()
	if s.status != nil {
		s.status.setReasons(func() []string { return []string{"stopping"} }, noWarnings)
	}
	var failures []error
	if s.bridge != nil {
		failures = append(failures, wrap("drain", s.bridge.Stop(ctx)))
	}
	if s.engine != nil {
		closed := s.closeEngine()
		if closed == nil && len(failures) > 0 && errors.Is(failures[0], context.DeadlineExceeded) {
			s.logger.Warn("whoever waited for longer than --drain-timeout was refused", "error", failures[0])
			failures = nil // all that was acknowledged is durable
		}
		failures = append(failures, wrap("close logs", closed))
	}
	if s.status != nil {
		failures = append(failures, wrap("stop HTTP", s.status.stop(ctx)))
	}
	err := errors.Join(failures...)
	if s.bridge != nil && err == nil {
		s.logger.Info("stopped")
	}
	return err
}

// closeEngine closes the logs, then the engine. That there was no room for what was
// published last, and never acknowledged, is no failure: its publishers were refused.
func (s *server) closeEngine() error {
	var failures []error
	for _, log := range s.logs {
		err := log.Close()
		if errors.Is(err, engine.ErrUnwritten) {
			s.logger.Warn("what was published last was not stored", "log", log.Name(), "error", err)
			err = nil
		}
		failures = append(failures, err)
	}
	return errors.Join(append(failures, s.engine.Close())...)
}

// wrap adds what was being done to an error, if there is one.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
