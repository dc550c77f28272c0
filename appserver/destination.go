package appserver

import (
	"fmt"
	"io"
	"log/slog"

	"alicorn/appserver/pool"
	"alicorn/config"
	"alicorn/proxy/logfile"
)

// output is the destination of an application's output, from the directive output. ""
// is the error log.
type output struct {
	dest   string
	prefix bool // each line begins with the worker's name
	pos    config.Pos
	sink   io.Writer // nil: the error log
}

func (o output) logs(errors func() *slog.Logger) pool.Logs {
	return pool.Logs{Errors: errors, Output: o.sink, Prefix: o.prefix}
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
