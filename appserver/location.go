package appserver

import (
	"fmt"

	"alicorn/config"
)

// buffering says whether a request's body is read before the application gets the request:
// app_request_buffering.
type buffering uint8

const (
	bufferingUsual buffering = iota // the default of the kind of worker: see adapter.streams
	bufferingOn
	bufferingOff
)

// usualTemp is the value of maxTemp without app_max_temp_file_size: see adapter.maxTemp.
const usualTemp = -1

// setRequestBuffering reads app_request_buffering.
func setRequestBuffering(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		on := true
		if err := config.Flag(k, func(*settings) *bool { return &on })(s, n); err != nil {
			return err
		}
		k.In(s).buffering = bufferingOff
		if on {
			k.In(s).buffering = bufferingOn
		}
		return nil
	}
}

// setTempPath sets the folder for temporary files, unless a directive of a
// higher rank has named one in this block.
func setTempPath(k *key, rank int) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		if err := checkLevels(n); err != nil {
			return err
		}
		c := k.In(s)
		if rank < c.tempRank {
			s.Load().Note(n.Pos, "%s has no effect: another directive of this block takes precedence", n.Name)
			return nil
		}
		c.tempDir, c.tempRank = absolute(s, n.Arg(0)), rank
		s.Load().WritesTemporary(n.Args[0].Pos, c.tempDir)
		return nil
	}
}

// checkLevels refuses levels that are not numbers from 1 to 3, as nginx does.
func checkLevels(n *config.Node) error {
	for _, a := range n.Args[1:] {
		if _, err := config.ParseInt(a.Text, 1, 3); err != nil {
			return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("%s: invalid level %q: it must be 1, 2 or 3", n.Name, a.Text)}
		}
	}
	return nil
}

func setBuffers(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		count, err := config.ParseInt(n.Arg(0), 1, 1<<16)
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: "app_buffers: " + err.Error()}
		}
		size, err := config.ParseSize(n.Arg(1))
		if err != nil || size < 1 || size > 1<<30 {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("app_buffers: %q is not a size from 1 to 1g", n.Arg(1))}
		}
		k.In(s).buffers = int64(count) * size
		return nil
	}
}

func setPass(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		if len(n.Args) > 1 && n.Arg(1) != "asgi" {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid parameter %q of app_pass: after the app it takes only \"asgi\"", n.Arg(1))}
		}
		s.Load().Defer(n.Args[0].Pos, func() error {
			app, err := findApp(s.Load(), n.Arg(0), n.Args[0].Pos)
			if err != nil {
				return err
			}
			if k.In(s).asgi = len(n.Args) > 1; k.In(s).asgi && app.program("asgi") == nil {
				return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("app %q, at %s, has no \"asgi\"", app.Name, app.Pos)}
			}
			k.In(s).pass = app
			return nil
		})
		return nil
	}
}

// findApp returns the application of that name. pos is the place of the name.
func findApp(l *config.Load, name string, pos config.Pos) (*App, error) {
	if app := appsOf(l).find(name); app != nil {
		return app, nil
	}
	e := &config.Error{Pos: pos, Msg: fmt.Sprintf("there is no app %q", name)}
	if near := config.Nearest(name, appsOf(l).names()); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return nil, e
}
