package static

import (
	"context"
	"fmt"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// caching returns the directives for files that are kept open.
func (m module) caching() []config.Directive {
	k := m.k
	return []config.Directive{
		{Name: "open_file_cache", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Syntax: "max=N [inactive=TIME] | off", Default: "off", Set: m.setCache,
			Help: "Keeps up to N names of files and folders, with their descriptor, size and time, so that a request for a known file needs no call of the system. Names beyond N, those used longest ago first, are dropped, and so are names that no request has used during the inactive time (60s). A replaced file is noticed after open_file_cache_valid. Small files are kept in memory, see open_file_cache_memory; unlike in nginx a larger one that is changed in place is seen at once, so that no answer mixes two versions. All processors share one cache; a reload begins with an empty one."},
		{Name: "open_file_cache_valid", In: config.AnyLevel, Args: config.OneArg, Syntax: "TIME", Default: "60s",
			Help: "How long an entry of open_file_cache is used before the system is asked about the file again.",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.opened.valid })},
		{Name: "open_file_cache_min_uses", In: config.AnyLevel, Args: config.OneArg, Syntax: "NUMBER", Default: "1",
			Help: "How many requests, within the inactive time of open_file_cache, a file must have had to be kept open.",
			Set:  config.Int(k, 1, 1<<31-1, func(c *settings) *int { return &c.opened.minUses })},
		{Name: "open_file_cache_errors", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Help: "Whether open_file_cache also remembers that a file is missing, or may not be read.",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.opened.errors })},
		{Name: "open_file_cache_memory", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Syntax: "SIZE [file=SIZE] | off", Default: "16m file=64k", Set: m.setMemory,
			Help: "How many bytes of files open_file_cache keeps in memory, and the largest file that it keeps there; a file's bytes are kept from its second request on, if it has not changed within the last two seconds. The blocks that inherit the directive share its memory. This is not a directive of nginx."},
	}
}

func (m module) setCache(s *config.Scope, n *config.Node) error {
	u := &m.k.In(s).opened
	limit, inactive := 0, time.Minute
	for _, a := range n.Args {
		name, value, _ := strings.Cut(a.Text, "=")
		var err error
		switch {
		case a.Text == "off" && len(n.Args) == 1:
			u.cache = nil
			return nil
		case name == "max":
			limit, err = config.ParseInt(value, 1, 1<<31-1)
		case name == "inactive":
			inactive, err = config.ParseTime(value)
		default:
			err = fmt.Errorf("it is one of max=N, inactive=TIME, off")
		}
		if err != nil {
			return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("invalid open_file_cache parameter %q: %s", a.Text, err)}
		}
	}
	if limit == 0 {
		return fmt.Errorf("open_file_cache must have the parameter \"max\"")
	}
	u.cache = newOpenCache(limit, inactive)
	all := config.Shared(s.Load(), func() *caches { return &caches{} })
	all.list = append(all.list, u.cache)
	return nil
}

func (m module) setMemory(s *config.Scope, n *config.Node) (err error) {
	mem := &memory{file: defaultMemoryFile}
	if n.Arg(0) != "off" {
		if mem.max, err = config.ParseSize(n.Arg(0)); err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: "open_file_cache_memory: " + err.Error()}
		}
	}
	if len(n.Args) == 2 {
		value, ok := strings.CutPrefix(n.Arg(1), "file=")
		if !ok || n.Arg(0) == "off" {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid open_file_cache_memory parameter %q: after a size there may be file=SIZE", n.Arg(1))}
		}
		if mem.file, err = config.ParseSize(value); err != nil {
			return &config.Error{Pos: n.Args[1].Pos, Msg: "open_file_cache_memory: " + err.Error()}
		}
	}
	m.k.In(s).opened.memory = mem
	return nil
}

// caches are the caches of one configuration.
type caches struct{ list []*openCache }

// closeCaches has the caches closed when the Generation stops.
func closeCaches(s *config.Scope, g *proxy.Generation) {
	for _, c := range config.Shared(s.Load(), func() *caches { return &caches{} }).list {
		g.OnStop(func(context.Context) { c.close() })
	}
}
