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
	httpReadTimeout  = 5 * time.Second
	httpWriteTimeout = 30 * time.Second // of a profile: behind its end
	httpIdleTimeout  = time.Minute
	// httpStopGrace is how long requests may take that run when serve ends.
	httpStopGrace = time.Second
	// httpConnectionsMax is how many connections are answered at a time.
	httpConnectionsMax = 64
)

// statusServer answers /healthz, /readyz, /metrics and, if asked to,
// /debug/pprof.
type statusServer struct {
	listener net.Listener
	places   chan struct{} // one for each connection
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
	s := &statusServer{places: make(chan struct{}, httpConnectionsMax)}
	s.listener = boundListener(listener, s.places)
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
	s.server = http.Server{
		Handler: handler, ReadHeaderTimeout: httpReadTimeout, ReadTimeout: httpReadTimeout,
		WriteTimeout: httpWriteTimeout, IdleTimeout: httpIdleTimeout,
	}
	s.tasks.Go(func() { s.served = s.server.Serve(s.listener) })
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

// stop waits for the server, and for the requests that run no longer than
// httpStopGrace or until ctx ends: whoever asks of a process that ends finds it gone.
func (s *statusServer) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, httpStopGrace)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // nothing is left to lose
	}
	s.tasks.Wait()
	if errors.Is(s.served, http.ErrServerClosed) {
		return nil
	}
	return s.served
}
