package bridge

import (
	"fmt"
	"log/slog"
	"sync/atomic"
)

// serverLog passes the embedded server's log on, at the levels of slog.
type serverLog struct {
	logger *slog.Logger
	fatal  atomic.Pointer[string] // the last thing that would have ended a server of its own
}

func (s *serverLog) Noticef(format string, v ...any) { s.logger.Info(s.text(format, v)) }
func (s *serverLog) Warnf(format string, v ...any)   { s.logger.Warn(s.text(format, v)) }
func (s *serverLog) Errorf(format string, v ...any)  { s.logger.Error(s.text(format, v)) }
func (s *serverLog) Debugf(format string, v ...any)  { s.logger.Debug(s.text(format, v)) }
func (s *serverLog) Tracef(format string, v ...any)  { s.logger.Debug(s.text(format, v)) }

// Fatalf does not end the process: who starts the server looks here.
func (s *serverLog) Fatalf(format string, v ...any) {
	text := s.text(format, v)
	s.fatal.Store(&text)
	s.logger.Error(text)
}

func (s *serverLog) text(format string, v []any) string {
	return "nats server: " + fmt.Sprintf(format, v...)
}
