package proxytest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// Log is an error log in memory. It takes every level and is safe for use by
// several goroutines.
type Log struct {
	mu    sync.Mutex
	lines []string
}

var levelNames = map[slog.Level]string{
	proxy.LevelDebug: "debug", proxy.LevelInfo: "info", proxy.LevelNotice: "notice", proxy.LevelWarn: "warn",
	proxy.LevelError: "error", proxy.LevelCrit: "crit", proxy.LevelAlert: "alert", proxy.LevelEmerg: "emerg",
}

// Enabled reports true.
func (l *Log) Enabled(context.Context, slog.Level) bool { return true }

// Handle keeps "LEVEL: MESSAGE".
func (l *Log) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%s: %s", levelNames[r.Level], r.Message))
	return nil
}

// Print keeps whole lines, each "print: LINE".
func (l *Log) Print(lines []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(lines)) {
		l.lines = append(l.lines, "print: "+strings.TrimSuffix(line, "\n"))
	}
}

// WithAttrs returns l: attributes are not kept.
func (l *Log) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup returns l.
func (l *Log) WithGroup(string) slog.Handler { return l }

// String returns the lines so far, each "LEVEL: MESSAGE".
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// Reset forgets the lines so far.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

// Wait returns once a line contains text, and fails t when none does in time.
func (l *Log) Wait(t testing.TB, text string) {
	t.Helper()
	Eventually(t, func() bool { return strings.Contains(l.String(), text) }, "no log line contains %q", text)
}

// module makes l the error log of what no other module gave one.
func (l *Log) module() proxy.Module {
	logger := slog.New(l)
	return proxy.Module{
		Name: "testlog",
		Compile: func(_ *config.Scope, loc *proxy.Location) error {
			if loc.Core.ErrorLog == nil {
				loc.Core.ErrorLog = logger
			}
			return nil
		},
		Generation: func(_ *config.Scope, g *proxy.Generation) error {
			if g.ErrorLog == nil {
				g.ErrorLog = logger
			}
			return nil
		},
	}
}

// Eventually polls condition until it holds, and fails t with the message
// when it does not in time.
func Eventually(t testing.TB, condition func() bool, format string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf(format, args...)
		}
	}
}
