package proxypass

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// balancing is the directive of an upstream block that chooses the method.
type balancing struct {
	name string // of the directive; "": round robin
	text string // its arguments

	key        *proxy.Template // of hash
	consistent bool            // of hash
	two        bool            // of random: the better one of two
	timed      bool            // compare the times of answers: least_time
	atHead     bool            // the times until the head, not until the end
	inFlight   bool            // include requests without an answer
}

// method returns the method for a group's peers.
func (b *balancing) method(peers []*peer) method {
	of := cost(connections)
	if b.timed {
		of = expected(b.atHead, b.inFlight)
	}
	switch {
	case b.name == "ip_hash":
		return hashed(nextOfAddress)
	case b.name == "hash" && b.consistent:
		return newRing(peers).choose
	case b.name == "hash":
		return hashed(nextOfKey)
	case b.name == "random" && !b.two:
		return random(nil)
	case b.name == "random":
		return random(of)
	case b.name != "":
		return least(of)
	}
	return roundRobin
}

// counts reports whether the method compares the members' requests or times.
func (b *balancing) counts() bool { return b.two || b.timed || b.name == "least_conn" }

// fixed reports whether the method is by hash or random. Such methods have no backups and no
// slow_start, as in nginx.
func (b *balancing) fixed() bool {
	return b.name == "ip_hash" || b.name == "hash" || b.name == "random"
}

// prepare sets the selection of a request.
func (d *definition) prepare(x *proxy.Exchange, sel *selection) {
	switch d.balance.name {
	case "ip_hash":
		sel.key = appendNetwork(sel.key, x.RemoteBinary())
	case "hash":
		sel.key = d.balance.key.Append(x, sel.key)
	}
	if d.sticky != nil {
		sel.hint = d.sticky.hint(x)
	}
}

// appendNetwork appends the key of ip_hash: the first three bytes of an IPv4 address, or a
// whole IPv6 address.
func appendNetwork(dst []byte, binary string) []byte {
	switch len(binary) {
	case 4:
		return append(dst, binary[:3]...)
	case 16:
		return append(dst, binary...)
	}
	return append(dst, 0, 0, 0) // a unix socket
}

// setBalancing reads a directive that chooses a method.
func setBalancing(k *blockKey, read func(s *config.Scope, b *balancing, args []config.Arg) error) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		d := k.In(s).group
		if d.balance.name != "" {
			s.Load().Warn(n.Pos, "load balancing method redefined: %q counts, not %q", n.Name, d.balance.name)
		}
		var words []string
		for _, a := range n.Args {
			words = append(words, a.Text)
		}
		d.balance = balancing{name: n.Name, text: strings.Join(words, " ")}
		if read == nil {
			return nil
		}
		return read(s, &d.balance, n.Args)
	}
}

func readHash(s *config.Scope, b *balancing, args []config.Arg) error {
	b.key = proxy.ParseTemplate(s.Load(), args[0].Pos, args[0].Text)
	if len(args) == 2 {
		if args[1].Text != "consistent" {
			return &config.Error{Pos: args[1].Pos, Msg: fmt.Sprintf("hash: invalid parameter %q; it takes \"consistent\"", args[1].Text)}
		}
		b.consistent = true
	}
	return nil
}

func readRandom(_ *config.Scope, b *balancing, args []config.Arg) error {
	if len(args) == 0 {
		return nil
	}
	if args[0].Text != "two" {
		return &config.Error{Pos: args[0].Pos, Msg: fmt.Sprintf("random: invalid parameter %q; it takes \"two\"", args[0].Text)}
	}
	b.two = true
	if len(args) == 1 || args[1].Text == "least_conn" {
		return nil
	}
	of, timed := strings.CutPrefix(args[1].Text, "least_time=")
	if !timed || of != "header" && of != "last_byte" {
		return &config.Error{Pos: args[1].Pos, Msg: fmt.Sprintf("random: invalid parameter %q; behind \"two\" stand \"least_conn\", \"least_time=header\" or \"least_time=last_byte\"", args[1].Text)}
	}
	b.timed, b.atHead = true, of == "header"
	return nil
}

func readLeastTime(_ *config.Scope, b *balancing, args []config.Arg) error {
	b.timed = true
	switch args[0].Text {
	case "header":
		b.atHead = true
	case "last_byte":
	default:
		return &config.Error{Pos: args[0].Pos, Msg: fmt.Sprintf("least_time: invalid value %q; it is \"header\" or \"last_byte\"", args[0].Text)}
	}
	if len(args) == 2 {
		if args[1].Text != "inflight" {
			return &config.Error{Pos: args[1].Pos, Msg: fmt.Sprintf("least_time: invalid parameter %q; it takes \"inflight\"", args[1].Text)}
		}
		b.inFlight = true
	}
	return nil
}

// setQueue reads queue.
func setQueue(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) (err error) {
		d := k.In(s).group
		if d.queue, err = config.ParseInt(n.Arg(0), 1, 1<<20); err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: "queue: " + err.Error()}
		}
		if len(n.Args) == 1 {
			return nil
		}
		text, ok := strings.CutPrefix(n.Arg(1), "timeout=")
		if !ok {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("queue: invalid parameter %q; it takes timeout=TIME", n.Arg(1))}
		}
		if d.queueTimeout, err = config.ParseTime(text); err == nil && d.queueTimeout <= 0 {
			err = fmt.Errorf("invalid time %q; it must be longer than 0", text)
		}
		if err != nil {
			return &config.Error{Pos: n.Args[1].Pos, Msg: "queue: timeout: " + err.Error()}
		}
		return nil
	}
}

// zone is the name in zone directives, with the size that one of them has.
type zone struct {
	name string
	size int64 // bytes; 0: no directive has a size
}

// smallestZone is the least size of a zone in nginx: 8 pages.
const smallestZone = 8 * pageSize

// setZone reads zone. It checks the size as nginx does. The size does not limit a group.
func setZone(k *blockKey) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		z, pos := c.all.zone(n.Arg(0)), n.Args[0].Pos
		c.group.zone = z.name
		if z.name == "" {
			return &config.Error{Pos: pos, Msg: `invalid zone name ""`}
		}
		if len(n.Args) == 1 {
			s.Load().Defer(pos, func() error {
				if z.size == 0 {
					return fmt.Errorf("zero size shared memory zone %q: one of its \"zone\" directives must have a size, for example 64k", z.name)
				}
				return nil
			})
			return nil
		}
		size, err := config.ParseSize(n.Arg(1))
		switch {
		case err != nil:
			err = fmt.Errorf("invalid zone size %q: %w", n.Arg(1), err)
		case size < smallestZone:
			err = fmt.Errorf("zone %q is too small; it needs at least 32k", z.name)
		case z.size != 0 && z.size != size:
			err = fmt.Errorf("the size %d of zone %q conflicts with its size %d in a directive above", size, z.name, z.size)
		}
		if err != nil {
			return &config.Error{Pos: n.Args[1].Pos, Msg: err.Error()}
		}
		z.size = size
		return nil
	}
}

// zone returns the zone of that name. It makes one if there is none.
func (d *definitions) zone(name string) *zone {
	for _, z := range d.zones {
		if z.name == name {
			return z
		}
	}
	z := &zone{name: name}
	d.zones = append(d.zones, z)
	return z
}

// sharesRoster reports whether all lanes have one roster: there is a zone, or a setting that
// needs the counts of all lanes.
func (d *definition) sharesRoster() bool {
	return d.zone != "" || d.queue > 0 || d.balance.counts() || slices.ContainsFunc(d.servers, func(sv server) bool { return sv.maxConns > 0 })
}

// startsSlowly reports whether a server has slow_start.
func (d *definition) startsSlowly() bool {
	return slices.ContainsFunc(d.servers, func(sv server) bool { return sv.slowStart > 0 })
}

// defaultQueueTime is the default of queue's timeout.
const defaultQueueTime = time.Minute
