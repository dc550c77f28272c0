// Package errorlog is the error_log directive: a slog.Handler that writes nginx's lines to one
// or more destinations, each with a lowest level.
//
//	2026/11/20 10:00:00 [error] PID#PID: *CID message, client: ...
//
// An event is one line. If its message has several lines, such as a traceback, the further
// lines begin with a tab. Lines that applications print are written to the same destinations
// unchanged, without time and level.
package errorlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/logfile"
)

// Options are the log of a configuration without error_log.
type Options struct {
	// Default is the destination: "stderr" or a path. Level is its level.
	Default string
	Level   proxy.Level
}

type settings struct {
	logs config.List[target]
}

// target is one error_log directive.
type target struct {
	dest  string
	level proxy.Level
	pos   config.Pos
}

var levels = []config.Choice[proxy.Level]{
	{Word: "debug", Value: proxy.LevelDebug}, {Word: "info", Value: proxy.LevelInfo}, {Word: "notice", Value: proxy.LevelNotice},
	{Word: "warn", Value: proxy.LevelWarn}, {Word: "error", Value: proxy.LevelError}, {Word: "crit", Value: proxy.LevelCrit},
	{Word: "alert", Value: proxy.LevelAlert}, {Word: "emerg", Value: proxy.LevelEmerg},
}

// Module returns the feature.
func Module(o Options) proxy.Module {
	k := config.NewKey(func() settings { return settings{} })
	m := module{o, k}
	return proxy.Module{
		Name:     "errorlog",
		Settings: k,
		Directives: []config.Directive{{
			Name: "error_log", In: config.Main | config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Set: m.set,
			Syntax: "FILE | stderr | syslog:server=ADDRESS[,...] [debug | info | notice | warn | error | crit | alert | emerg]", Default: "stderr error",
			Help: "Where errors are logged, and the lowest level that is logged. Starts, reloads and stops of the server are logged whatever the level is. There may be several logs; a block with error_log does not inherit those of the block around it. A relative FILE is in the prefix directory. If its folder is missing, the server makes it.",
		}},
		Compile: func(s *config.Scope, l *proxy.Location) (err error) {
			l.Core.ErrorLog, err = m.logger(s)
			return err
		},
		Generation: func(s *config.Scope, g *proxy.Generation) (err error) {
			g.ErrorLog, err = m.logger(s)
			return err
		},
	}
}

type module struct {
	o Options
	k *config.Key[settings]
}

func (m module) set(s *config.Scope, n *config.Node) error {
	t := target{dest: n.Arg(0), level: proxy.LevelError, pos: n.Pos}
	if len(n.Args) == 2 {
		level, ok := levelNamed(n.Arg(1))
		if !ok {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid level %q: it is one of debug, info, notice, warn, error, crit, alert, emerg", n.Arg(1))}
		}
		t.level = level
	}
	m.k.In(s).logs.Add(s, t)
	return nil
}

func levelNamed(word string) (proxy.Level, bool) {
	for _, l := range levels {
		if l.Word == word {
			return l.Value, true
		}
	}
	return 0, false
}

// logger opens the destinations in effect in s.
func (m module) logger(s *config.Scope) (*slog.Logger, error) {
	targets := m.k.In(s).logs.Items()
	if len(targets) == 0 {
		targets = []target{{dest: m.o.Default, level: m.o.Level}}
	}
	h := &Handler{}
	for _, t := range targets {
		w, err := logfile.Open(s.Load(), t.dest, logfile.Options{})
		if err != nil {
			if t.pos == (config.Pos{}) {
				return nil, err
			}
			return nil, &config.Error{Pos: t.pos, Msg: err.Error()}
		}
		h.outs = append(h.outs, out{w, t.level})
		h.ToStderr = h.ToStderr || t.dest == "stderr"
	}
	return slog.New(h), nil
}

// Handler is a slog.Handler that writes nginx's error log lines.
type Handler struct {
	outs  []out
	attrs string
	// ToStderr says that standard error is one of the destinations.
	ToStderr bool
}

type out struct {
	w     io.Writer
	level proxy.Level
}

// NewHandler returns a Handler for one destination.
func NewHandler(w io.Writer, level proxy.Level) *Handler { return &Handler{outs: []out{{w, level}}} }

// Enabled reports whether a destination logs the level.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	for _, o := range h.outs {
		if level >= o.level {
			return true
		}
	}
	return false
}

var lines = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// mostKept is the largest buffer, in bytes, that HandleAll keeps for the next lines.
const mostKept = 64 << 10

// Handle writes one event.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	buf := lines.Get().(*[]byte)
	defer lines.Put(buf)
	b := appendHead((*buf)[:0], r.Time, r.Level)
	rest := h.attrs
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "cid" {
			b = append(strconv.AppendUint(append(b, '*'), a.Value.Uint64(), 10), ' ')
		} else {
			rest += ", " + a.Key + ": " + a.Value.String()
		}
		return true
	})
	b = appendLines(appendLines(b, r.Message), rest)
	b = append(b, '\n')
	h.write(r.Level, b)
	*buf = b
	return nil
}

// HandleAll writes an event for each message, in order. It does one write for each destination
// that logs the level.
func (h *Handler) HandleAll(_ context.Context, at time.Time, level slog.Level, messages []string) error {
	buf := lines.Get().(*[]byte)
	defer lines.Put(buf)
	b := appendHead((*buf)[:0], at, level)
	head := string(b)
	for i, message := range messages {
		if i > 0 {
			b = append(b, head...)
		}
		b = append(appendLines(appendLines(b, message), h.attrs), '\n')
	}
	h.write(level, b)
	if cap(b) <= mostKept {
		*buf = b
	}
	return nil
}

// Print writes whole lines unchanged. They have no level, as an application has printed them:
// they are written to the destinations with the lowest level.
func (h *Handler) Print(lines []byte) {
	lowest := proxy.LevelLife
	for _, o := range h.outs {
		lowest = min(lowest, o.level)
	}
	for _, o := range h.outs {
		if o.level == lowest {
			o.w.Write(lines)
		}
	}
}

// appendHead appends the time, the level and the process of an event.
func appendHead(b []byte, at time.Time, level slog.Level) []byte {
	b = at.AppendFormat(b, "2006/01/02 15:04:05 [")
	b = append(append(b, LevelName(level)...), "] "...)
	b = strconv.AppendInt(b, int64(os.Getpid()), 10)
	b = strconv.AppendInt(append(b, '#'), int64(os.Getpid()), 10)
	return append(b, ": "...)
}

// write writes whole lines to the destinations that log the level.
func (h *Handler) write(level slog.Level, b []byte) {
	for _, o := range h.outs {
		if level >= o.level {
			o.w.Write(b)
		}
	}
}

// appendLines appends text, with a tab before each line but the first, and with characters
// that are not printable as \xHH.
func appendLines(b []byte, text string) []byte {
	first := true
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if !first {
			b = append(b, '\n', '\t')
		}
		first = false
		b = proxy.AppendPrintable(b, line)
	}
	return b
}

// WithAttrs returns a Handler whose lines end with attrs.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	for _, a := range attrs {
		n.attrs += ", " + a.Key + ": " + a.Value.String()
	}
	return &n
}

// WithGroup returns h, since lines have no groups.
func (h *Handler) WithGroup(string) slog.Handler { return h }

// LevelName returns nginx's name of the level.
func LevelName(level slog.Level) string {
	if level == proxy.LevelLife {
		level = proxy.LevelNotice
	}
	name := "debug"
	for _, l := range levels {
		if level >= l.Value {
			name = l.Word
		}
	}
	return name
}
