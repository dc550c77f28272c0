// Package limit is nginx's limit_req module: the rate of requests by key.
//
// A zone has one state for each key: the excess, which is by how much its requests exceed
// the rate, in thousandths of a request, and when the last request was counted. A request
// adds 1000 to the excess; each second subtracts the rate. A request whose excess is above
// burst is refused and not counted. A request whose excess is above delay waits until it is
// not. With several zones, each must admit a request before any counts it.
//
// The package does not use golang.org/x/time/rate, whose tokens are continuous. nginx rounds
// the rate (1r/m is 16 thousandths per second) and the amount for each millisecond, logs the
// excess, and asks before it counts.
//
// The states of a zone outlive configurations. The zone's size bounds their memory: a new
// state replaces the one that was not used for the longest time. A key is kept as a 128-bit
// hash.
package limit

import (
	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	limits config.List[*limit]
	zones  *zones // one for the whole configuration
	status int
	level  proxy.Level
	dryRun bool
}

// limit is one limit_req directive. Counts are in thousandths of a request.
type limit struct {
	zone  *zone
	burst int64
	delay int64
}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings {
		return settings{zones: newZones(), status: 503, level: proxy.LevelError}
	})
	decided := new(proxy.ExchangeSlot[decision])
	return proxy.Module{
		Name:       "limit",
		Settings:   k,
		Directives: directives(k),
		State:      []proxy.Slot{decided},
		Variables: []proxy.Variable{{Name: "limit_req_status", Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			d := *decided.In(x.Main())
			return append(dst, decisions[d]...), d != undecided
		}}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			c := k.In(s)
			if limits := c.limits.Items(); len(limits) > 0 {
				g := &gate{limits: limits, status: proxy.Status(c.status), dryRun: c.dryRun, level: c.level, delayLevel: lower(c.level), decided: decided}
				l.On(proxy.PreAccess, g.pass)
			}
			return nil
		},
	}
}

// lower returns the level for delays: one below that of refusals.
func lower(l proxy.Level) proxy.Level {
	switch l {
	case proxy.LevelError:
		return proxy.LevelWarn
	case proxy.LevelWarn:
		return proxy.LevelNotice
	}
	return proxy.LevelInfo
}

// decision is what the limits did with a request: $limit_req_status. It is made once.
type decision uint8

const (
	undecided decision = iota
	passed
	delayed
	rejected
	delayedDryRun
	rejectedDryRun
)

var decisions = [...]string{"", "PASSED", "DELAYED", "REJECTED", "DELAYED_DRY_RUN", "REJECTED_DRY_RUN"}
