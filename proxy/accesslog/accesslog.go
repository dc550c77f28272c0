// Package accesslog is access_log and log_format: one line for each request, made in the log
// phase without allocation. Lines are written to a file in batches: a line waits for at most
// 10 ms, or as long as buffer= and flush= say.
//
// The format says how values of variables are escaped, so that no request can forge a line.
// "default" writes \xXX for quotes, backslashes, control bytes and bytes that are not ASCII;
// "json" escapes as JSON does; "none" escapes nothing.
package accesslog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/logfile"
)

type settings struct {
	logs    config.List[*log]
	formats *formats // one for the whole configuration
}

// formats are the log_format directives by name.
type formats struct {
	byName map[string]*format
}

// log is one access_log directive.
type log struct {
	pos        config.Pos
	dest       string
	formatName string
	options    logfile.Options
	condition  *proxy.Template // if=; nil: always
}

// batches returns the options of a file without buffer=. Several lines are written together,
// because one write costs several times as much as making a line.
func batches() logfile.Options {
	return logfile.Options{Buffer: 64 << 10, Flush: 10 * time.Millisecond}
}

// The predefined formats. timing adds the request's id, the seconds in the app's queue, at the
// worker and in total, and the worker.
const (
	combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
	timing   = combined + ` $request_id $app_queue_time $app_time $request_time "$app_worker"`
)

var predefined = map[string]string{"combined": combined, "timing": timing}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{formats: &formats{map[string]*format{}}} })
	m := module{k}
	return proxy.Module{
		Name:     "accesslog",
		Settings: k,
		Directives: []config.Directive{
			{Name: "log_format", In: config.HTTP, Args: config.Arity{Min: 2, Max: -1}, Repeat: true, Set: m.setFormat,
				Syntax: "NAME [escape=default | json | none] STRING ...",
				Help:   "Defines the lines of an access log. The strings are joined. escape says how values of variables are escaped: default writes \\xXX for quotes, backslashes, control bytes and bytes that are not ASCII, json escapes as JSON does, none escapes nothing. nginx's format combined is predefined, and timing, which adds the request's id, the seconds that it waited for a worker, ran and took in total, and the worker."},
			{Name: "access_log", In: config.AnyLevel | config.LocationIf | config.LimitExcept, Args: config.Arity{Min: 1, Max: -1}, Repeat: true, Set: m.setLog, Default: "off",
				Syntax: "off | FILE [FORMAT] [buffer=SIZE [flush=TIME]] [max_size=SIZE [keep=N]] [if=CONDITION] | syslog:server=ADDRESS[,...] [FORMAT] [if=CONDITION]",
				Help:   "Logs each request. There may be several logs; a block with access_log does not inherit those of the block around it. A relative FILE is in the prefix directory. Lines are written in batches, within 10 ms; with buffer=SIZE when SIZE bytes wait, or after flush=TIME. A file that is larger than max_size is renamed to FILE.1, that to FILE.2 and so on; keep is how many of these stay, from 1 to 1000, by default 5. A request is not logged if CONDITION is empty or 0. Unlike in nginx, nothing is logged without an access_log."},
		},
		Variables: []proxy.Variable{
			{Name: "app_queue_time", Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
				return seconds(x, dst, x.Upstream.Queue)
			}},
			{Name: "app_time", Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) { return seconds(x, dst, x.Upstream.Time) }},
		},
		Compile: m.compile,
	}
}

func seconds(x *proxy.Exchange, dst []byte, d time.Duration) ([]byte, bool) {
	if x.Upstream.App == "" {
		return dst, false
	}
	return proxy.AppendMillis(dst, d), true
}

type module struct{ k *config.Key[settings] }

func (m module) setFormat(s *config.Scope, n *config.Node) error {
	all := m.k.In(s).formats
	name := n.Arg(0)
	if all.has(name) {
		return fmt.Errorf("log_format %q is duplicate", name)
	}
	args := n.Args[1:]
	esc := escapeDefault
	if word, ok := strings.CutPrefix(args[0].Text, "escape="); ok {
		switch word {
		case "default":
		case "json":
			esc = escapeJSON
		case "none":
			esc = escapeNone
		default:
			return &config.Error{Pos: args[0].Pos, Msg: fmt.Sprintf("unknown log format escaping %q; it is default, json or none", word)}
		}
		args = args[1:]
	}
	var text strings.Builder
	for _, a := range args {
		text.WriteString(a.Text)
	}
	if text.Len() == 0 {
		return fmt.Errorf("log_format %q has no text", name)
	}
	all.byName[name] = newFormat(s.Load(), n.Pos, text.String(), esc)
	return nil
}

func (m module) setLog(s *config.Scope, n *config.Node) error {
	c := m.k.In(s)
	if n.Arg(0) == "off" {
		if len(n.Args) > 1 {
			return fmt.Errorf("access_log off takes no further argument")
		}
		c.logs.Clear(s)
		return nil
	}
	l := &log{pos: n.Pos, dest: n.Arg(0), formatName: "combined", options: logfile.Options{Keep: 5}}
	for i, a := range n.Args[1:] {
		if err := l.option(s, a, i == 0); err != nil {
			return &config.Error{Pos: a.Pos, Msg: err.Error()}
		}
	}
	if l.options.Flush > 0 && l.options.Buffer == 0 {
		return fmt.Errorf("no buffer is defined for access_log %q with flush=", l.dest)
	}
	if l.options.Buffer == 0 {
		l.options.Buffer, l.options.Flush = batches().Buffer, batches().Flush
	}
	if l.options.MaxSize == 0 {
		l.options.Keep = 0
	}
	c.logs.Add(s, l)
	formats := c.formats
	s.Load().Defer(l.pos, func() error { return formats.known(l) }) // also where no server uses it
	return nil
}

func (l *log) option(s *config.Scope, a config.Arg, first bool) error {
	name, value, hasValue := strings.Cut(a.Text, "=")
	var err error
	switch {
	case !hasValue && first:
		l.formatName = a.Text
	case name == "buffer":
		var n int64
		n, err = config.ParseSizeIn(value, 0, 1<<30)
		l.options.Buffer = int(n)
	case name == "flush":
		l.options.Flush, err = config.ParseTime(value)
	case name == "max_size":
		l.options.MaxSize, err = config.ParseSize(value)
	case name == "keep":
		l.options.Keep, err = config.ParseInt(value, 1, 1000)
	case name == "if":
		l.condition = proxy.ParseTemplate(s.Load(), a.Pos, value)
	default:
		err = fmt.Errorf("invalid parameter %q of access_log; it takes a format, buffer=, flush=, max_size=, keep=, if=", a.Text)
	}
	return err
}

func (m module) compile(s *config.Scope, l *proxy.Location) error {
	c := m.k.In(s)
	for _, lg := range c.logs.Items() {
		f, err := c.formats.find(s.Load(), lg)
		if err != nil {
			return err
		}
		w := &writer{format: f, condition: lg.condition}
		if strings.Contains(lg.dest, "$") && !strings.HasPrefix(lg.dest, "syslog:") {
			return &config.Error{Pos: lg.pos, Msg: "variables in the path of access_log are not supported; use one log and a format that has them"}
		}
		if w.sink, err = logfile.Open(s.Load(), lg.dest, lg.options); err != nil {
			return &config.Error{Pos: lg.pos, Msg: err.Error()}
		}
		l.OnLog(w.write)
	}
	return nil
}

// find returns the format that lg names. It makes a predefined one when that is first named.
func (f *formats) find(l *config.Load, lg *log) (*format, error) {
	if found := f.byName[lg.formatName]; found != nil {
		return found, nil
	}
	text, ok := predefined[lg.formatName]
	if !ok {
		return nil, f.unknown(lg)
	}
	made := newFormat(l, lg.pos, text, escapeDefault)
	f.byName[lg.formatName] = made
	return made, nil
}

// has reports whether there is a format of that name.
func (f *formats) has(name string) bool {
	return f.byName[name] != nil || predefined[name] != ""
}

// known returns an error if there is no format that lg names.
func (f *formats) known(lg *log) error {
	if f.has(lg.formatName) {
		return nil
	}
	return f.unknown(lg)
}

// unknown returns the error for a format that there is not.
func (f *formats) unknown(lg *log) error {
	names := append(slices.Sorted(maps.Keys(predefined)), slices.Sorted(maps.Keys(f.byName))...)
	e := &config.Error{Pos: lg.pos, Msg: fmt.Sprintf("unknown log format %q", lg.formatName)}
	if near := config.Nearest(lg.formatName, names); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return e
}

// writer is one access_log of one location.
type writer struct {
	sink      logfile.Sink
	format    *format
	condition *proxy.Template
}

var lines = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

func (w *writer) write(x *proxy.Exchange) {
	buf := lines.Get().(*[]byte)
	b := (*buf)[:0]
	if w.condition != nil {
		b = w.condition.Append(x, b)
		if len(b) == 0 || string(b) == "0" {
			lines.Put(buf)
			return
		}
		b = b[:0]
	}
	b = append(w.format.appendLine(x, b), '\n')
	w.sink.Write(b)
	*buf = b
	lines.Put(buf)
}
