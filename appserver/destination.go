package appserver

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"alicorn/appserver/pool"
	"alicorn/config"
	"alicorn/proxy/logfile"
)

// output is the destination of an application's output: the directive output.
type output struct {
	dest   string // "": the error log
	prefix bool   // each line begins with the worker's name
	pos    config.Pos
	sink   io.Writer // nil: the error log
}

// logs returns the destinations of the logs of a's workers. errors returns the error log.
func (a *App) logs(errors func() *slog.Logger) pool.Logs {
	l := pool.Logs{Errors: errors, Output: a.output.sink, Prefix: a.output.prefix, Rate: a.outputRate}
	if a.service != nil {
		l.Printed = &a.service.printed
	}
	return l
}

func setOutputLimit(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		r := &k.In(s).app.outputRate
		if n.Arg(0) == "off" {
			*r = pool.Rate{}
			if len(n.Args) > 1 {
				return &config.Error{Pos: n.Args[1].Pos, Msg: "output_limit takes \"off\" alone"}
			}
			return nil
		}
		lines, err := config.ParseInt(n.Arg(0), 1, 1_000_000)
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: "output_limit: " + err.Error()}
		}
		*r = pool.Rate{Lines: lines, Burst: 10 * lines}
		if len(n.Args) == 1 {
			return nil
		}
		burst, ok := strings.CutPrefix(n.Arg(1), "burst=")
		if !ok {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid parameter %q of output_limit: it takes only burst=LINES", n.Arg(1))}
		}
		if r.Burst, err = config.ParseInt(burst, 1, 10_000_000); err != nil {
			return &config.Error{Pos: n.Args[1].Pos, Msg: "output_limit: burst: " + err.Error()}
		}
		return nil
	}
}

func setOutput(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		o := output{dest: n.Arg(0), pos: n.Args[0].Pos}
		switch {
		case o.dest == "":
			return &config.Error{Pos: o.pos, Msg: "invalid output \"\": it takes error_log, stderr, a file or syslog:server=ADDRESS"}
		case o.dest == "error_log":
			o.dest = ""
		}
		if len(n.Args) > 1 {
			if o.prefix = n.Arg(1) == "prefix"; !o.prefix {
				return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid parameter %q of output: it takes only \"prefix\"", n.Arg(1))}
			}
		}
		k.In(s).app.output = o
		return nil
	}
}

// openOutputs opens the destinations of the apps' output.
func openOutputs(l *config.Load, apps []*App) error {
	for _, a := range apps {
		if a.output.dest == "" {
			continue
		}
		sink, err := logfile.Open(l, a.output.dest, logfile.Options{})
		if err != nil {
			return &config.Error{Pos: a.output.pos, Msg: err.Error()}
		}
		a.output.sink = sink
	}
	return nil
}

// logLevels are the levels of Python's loggers, as gunicorn's --log-level names them.
var logLevels = []config.Choice[string]{
	{Word: "debug", Value: "debug"}, {Word: "info", Value: "info"}, {Word: "warning", Value: "warning"},
	{Word: "error", Value: "error"}, {Word: "critical", Value: "critical"},
}
