package static

import (
	"context"
	"fmt"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// caching returns the directives about files that are kept open or in memory.
func (m module) caching() []config.Directive {
	k := m.k
	return []config.Directive{
		{Name: "open_file_cache", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Syntax: "max=N [inactive=TIME] | off", Default: "off", Set: m.setCache,
			Help: "Keeps up to N names of files and folders, with descriptor, size and time, so that a request for a known file needs few calls of the system. If there are more than N names, those that were not used for the longest time are dropped. Names that no request has used for the inactive time, by default 60s, are dropped, too. A file that was replaced is noticed after open_file_cache_valid. Small files are kept in memory; see open_file_cache_memory. Unlike in nginx, a change inside a larger file is noticed at once, so that no response mixes two versions. All processors share one cache. A reload begins with an empty one."},
		{Name: "open_file_cache_valid", In: config.AnyLevel, Args: config.OneArg, Syntax: "TIME", Default: "60s",
			Help: "How long an entry of open_file_cache is used before the server looks at the file again.",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.opened.valid })},
		{Name: "open_file_cache_min_uses", In: config.AnyLevel, Args: config.OneArg, Syntax: "NUMBER", Default: "1",
			Help: "How many requests must ask for a file, within the inactive time of open_file_cache, before the file is kept open.",
			Set:  config.Int(k, 1, 1<<31-1, func(c *settings) *int { return &c.opened.minUses })},
		{Name: "open_file_cache_errors", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Help: "Whether open_file_cache also keeps the names of files that are missing or may not be read.",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.opened.errors })},
		{Name: "open_file_cache_memory", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Syntax: "SIZE [file=SIZE] | off", Default: "16m file=64k", Set: m.setMemory,
			Help: "How many bytes of files open_file_cache keeps in memory, and the size of the largest file that it keeps there. A file is kept from its second request on, if it has not changed in the last two seconds. Blocks that inherit the directive share its memory. nginx does not have this directive."},
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

// closeCaches makes the caches close when the Generation stops.
func closeCaches(s *config.Scope, g *proxy.Generation) {
	for _, c := range config.Shared(s.Load(), func() *caches { return &caches{} }).list {
		g.OnStop(func(context.Context) { c.close() })
	}
}
