package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	httpHeaderTimeout = 5 * time.Second
	httpIdleTimeout   = 2 * time.Minute
)

// statusServer answers /healthz, /readyz, /metrics and, if asked to,
// /debug/pprof.
type statusServer struct {
	listener net.Listener
	server   http.Server
	tasks    sync.WaitGroup
	served   error

	mu struct {
		sync.Mutex
		reasons  func() []string // why the process does not do its work now
		warnings func() []string // what needs an operator all the same
	}
}

// startStatusServer listens and serves. Until setReasons is called, the process
// is not ready because it is starting. profiles turns /debug/pprof on.
func startStatusServer(address string, registry *prometheus.Registry, profiles bool) (*statusServer, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP on %s (choose another with --http): %w", address, err)
	}
	s := &statusServer{listener: listener}
	s.setReasons(func() []string { return []string{"starting: logs are being recovered"} }, noWarnings)
	handler := http.NewServeMux()
	handler.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		respondJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	handler.HandleFunc("GET /readyz", s.answerReady)
	handler.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	if profiles {
		handleProfiles(handler)
	}
	s.server = http.Server{Handler: handler, ReadHeaderTimeout: httpHeaderTimeout, IdleTimeout: httpIdleTimeout}
	s.tasks.Go(func() { s.served = s.server.Serve(listener) })
	return s, nil
}

// handleProfiles serves what Go's own tools read: `go tool pprof URL`.
func handleProfiles(handler *http.ServeMux) {
	handler.HandleFunc("GET /debug/pprof/", pprof.Index)
	handler.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	handler.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	handler.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	handler.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

func (s *statusServer) url() string { return "http://" + s.listener.Addr().String() }

// setReasons changes what decides whether the process is ready: a function that
// returns the reasons why not, and one for what is told beside it.
func (s *statusServer) setReasons(reasons, warnings func() []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.reasons, s.mu.warnings = reasons, warnings
}

func noWarnings() []string { return nil }

func (s *statusServer) answerReady(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	reasons, warnings := s.mu.reasons, s.mu.warnings
	s.mu.Unlock()
	answer := struct {
		Ready    bool     `json:"ready"`
		Reasons  []string `json:"reasons"`
		Warnings []string `json:"warnings"`
	}{Reasons: append([]string{}, reasons()...), Warnings: append([]string{}, warnings()...)}
	answer.Ready = len(answer.Reasons) == 0
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	respondJSON(w, status, answer)
}

func respondJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // fails only when the asker has gone
}

// stop lets requests end until ctx does, and waits for the server.
func (s *statusServer) stop(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	s.tasks.Wait()
	if !errors.Is(s.served, http.ErrServerClosed) {
		err = errors.Join(err, s.served)
	}
	return err
}
