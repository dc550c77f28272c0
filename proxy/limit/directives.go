package limit

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

func directives(k *config.Key[settings]) []config.Directive {
	return []config.Directive{
		{Name: "limit_req_zone", In: config.HTTP, Args: config.Arity{Min: 3, Max: 3}, Repeat: true, Set: setZone(k),
			Syntax: "KEY zone=NAME:SIZE rate=N(r/s | r/m)",
			Help:   "Defines a zone for limit_req. KEY is a text with variables. Requests with the same value of KEY may come at this rate, from 1 to 1000000. Requests with an empty value are not limited. A zone of 1m holds 8192 values; the smallest zone is 32k. In a full zone a new value replaces the one that was not used for the longest time. A zone survives a reload that changes neither KEY nor SIZE."},
		{Name: "limit_req", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 3}, Repeat: true, Set: setLimit(k),
			Syntax: "zone=NAME [burst=N] [nodelay | delay=N]",
			Help:   "Refuses requests that exceed the zone's rate by more than burst requests, by default 0. Delays requests that exceed it by more than delay requests, by default 0, until they keep the rate; nodelay delays none. With several limit_req directives each must admit the request, and the longest delay counts. A block with limit_req does not inherit those of the block around it."},
		{Name: "limit_req_status", In: config.AnyLevel, Args: config.OneArg, Syntax: "400 .. 599", Default: "503",
			Set:  config.Int(k, 400, 599, func(c *settings) *int { return &c.status }),
			Help: "The status of refused requests."},
		{Name: "limit_req_log_level", In: config.AnyLevel, Args: config.OneArg, Syntax: "info | notice | warn | error", Default: "error",
			Set: config.Enum(k, []config.Choice[proxy.Level]{{Word: "info", Value: proxy.LevelInfo}, {Word: "notice", Value: proxy.LevelNotice},
				{Word: "warn", Value: proxy.LevelWarn}, {Word: "error", Value: proxy.LevelError}}, func(c *settings) *proxy.Level { return &c.level }),
			Help: "The level at which refusals are logged. Delays are logged one level lower."},
		{Name: "limit_req_dry_run", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.dryRun }),
			Help: "Counts and logs requests, but neither refuses nor delays them. $limit_req_status shows what limit_req would have done."},
	}
}

// minZone is the smallest size of a zone in bytes: eight pages, as in nginx.
const minZone = 8 * 4096

// The largest rate and burst. They keep the arithmetic from overflowing.
const (
	maxRate  = 1e6
	maxBurst = 1e9
)

func setZone(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		z := &zone{keyText: n.Arg(0)}
		size := int64(0)
		for _, a := range n.Args[1:] {
			if err := z.option(a.Text, &size); err != nil {
				return &config.Error{Pos: a.Pos, Msg: err.Error()}
			}
		}
		all := k.In(s).zones
		switch other := all.byName[z.name]; {
		case z.name == "" || z.rate == 0:
			return fmt.Errorf("limit_req_zone needs zone=NAME:SIZE and rate=N")
		case other != nil:
			return fmt.Errorf("limit_req_zone %q is already bound to key %q", z.name, other.keyText)
		}
		z.key = proxy.ParseTemplate(s.Load(), n.Args[0].Pos, z.keyText)
		name := fmt.Sprintf("limit_req_zone %s %d %s", z.name, size, z.keyText)
		var err error
		z.states, err = config.Hold(s.Load().Resources, name, func() (*states, error) { return newStates(size), nil })
		all.byName[z.name] = z
		return err
	}
}

// option reads zone= or rate=.
func (z *zone) option(text string, size *int64) error {
	word, value, _ := strings.Cut(text, "=")
	var err error
	switch word {
	case "zone":
		name, bytes, _ := strings.Cut(value, ":")
		if name == "" || bytes == "" {
			return fmt.Errorf("invalid zone %q; it is zone=NAME:SIZE", value)
		}
		z.name = name
		if *size, err = config.ParseSize(bytes); err != nil {
			return fmt.Errorf("invalid zone size %q: %w", bytes, err)
		}
		if *size < minZone {
			return fmt.Errorf("zone %q is too small; it needs at least 32k", name)
		}
	case "rate":
		z.rate, err = parseRate(value)
	default:
		err = fmt.Errorf("invalid parameter %q of limit_req_zone; it takes zone=NAME:SIZE and rate=N", text)
	}
	return err
}

// parseRate returns a rate in thousandths of a request per second. As in nginx it is
// rounded down.
func parseRate(text string) (int64, error) {
	digits, scale := text, int64(1)
	if d, ok := strings.CutSuffix(text, "r/s"); ok {
		digits = d
	} else if d, ok := strings.CutSuffix(text, "r/m"); ok {
		digits, scale = d, 60
	}
	n, err := config.ParseInt(digits, 1, maxRate)
	if err != nil {
		return 0, fmt.Errorf("invalid rate %q; it is a number from 1 to %d with r/s or r/m", text, int(maxRate))
	}
	return int64(n) * 1000 / scale, nil
}

func setLimit(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		l, name, pos := &limit{}, "", n.Pos
		for _, a := range n.Args {
			word, value, _ := strings.Cut(a.Text, "=")
			var err error
			switch {
			case word == "zone" && value != "":
				name, pos = value, a.Pos
			case word == "burst":
				l.burst, err = thousandths(word, value)
			case word == "delay":
				l.delay, err = thousandths(word, value)
			case a.Text == "nodelay":
				l.delay = unbounded
			default:
				err = fmt.Errorf("invalid parameter %q of limit_req; it takes zone=NAME, burst=N, nodelay or delay=N", a.Text)
			}
			if err != nil {
				return &config.Error{Pos: a.Pos, Msg: err.Error()}
			}
		}
		if name == "" {
			return fmt.Errorf("limit_req needs zone=NAME")
		}
		c := k.In(s)
		c.limits.Add(s, l)
		siblings := c.limits.Items()
		siblings = siblings[:len(siblings)-1]
		s.Load().Defer(pos, func() (err error) {
			l.zone, err = c.zones.find(name, pos)
			for _, other := range siblings {
				if err == nil && other.zone == l.zone {
					err = fmt.Errorf("limit_req of zone %q is duplicate", name)
				}
			}
			return err
		})
		return nil
	}
}

func thousandths(word, value string) (int64, error) {
	n, err := config.ParseInt(value, 1, maxBurst)
	if err != nil {
		return 0, fmt.Errorf("invalid %s value %q; it is a number from 1 to %d", word, value, int(maxBurst))
	}
	return int64(n) * 1000, nil
}
