// Package stubstatus is nginx's stub_status module: a page, and variables, with the
// numbers of connections and requests.
package stubstatus

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

type settings struct{ on bool }

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{} })
	k.Enter = func(_ *config.Scope, c *settings) { c.on = false }
	return proxy.Module{
		Name:     "stub_status",
		Settings: k,
		Content:  []string{"stub_status"},
		Directives: []config.Directive{{
			Name: "stub_status", In: config.Server | config.Location, Args: config.Arity{Max: 1},
			Help: "Answers with the numbers that monitoring of nginx reads: open connections; connections accepted and handled, and requests, since the process began; open connections that send a request's head (Reading), that have a request (Writing), and that wait for a request or for a handshake (Waiting). As in nginx, an argument has no meaning. \"alicorn status\" shows more.",
			Set:  func(s *config.Scope, _ *config.Node) error { k.In(s).on = true; return nil },
		}},
		Variables: variables(),
		Compile: func(s *config.Scope, l *proxy.Location) error {
			if k.In(s).on {
				l.SetContent(proxy.HandlerFunc(serve))
			}
			return nil
		},
	}
}

// serve answers with the page.
func serve(x *proxy.Exchange) error {
	if m := x.Req.Method; m != "GET" && m != "HEAD" {
		return &proxy.Fail{Status: 405, Field: proxy.Field{Name: "Allow", Value: "GET, HEAD"}}
	}
	c := x.Counts()
	return x.Res.Reply(200, "text/plain", fmt.Appendf(nil, "Active connections: %d \nserver accepts handled requests\n %d %d %d \nReading: %d Writing: %d Waiting: %d \n",
		c.Active, c.Accepted, c.Accepted, c.Requests, c.Reading, c.Writing, c.Waiting))
}

// latest are the numbers that the variables share for a while: counting looks at each
// connection, and a log may have a variable in each line.
type latest struct {
	mu     sync.Mutex
	counts proxy.Counts
	at     time.Time
}

// keep is how long the variables show the same numbers.
const keep = 100 * time.Millisecond

func (l *latest) of(x *proxy.Exchange) proxy.Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.at) > keep {
		l.counts, l.at = x.Counts(), now
	}
	return l.counts
}

func variables() []proxy.Variable {
	l := &latest{}
	number := func(name string, field func(c proxy.Counts) int) proxy.Variable {
		return proxy.Variable{Name: name, Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			return strconv.AppendInt(dst, int64(field(l.of(x))), 10), true
		}}
	}
	return []proxy.Variable{
		number("connections_active", func(c proxy.Counts) int { return c.Active }),
		number("connections_reading", func(c proxy.Counts) int { return c.Reading }),
		number("connections_writing", func(c proxy.Counts) int { return c.Writing }),
		number("connections_waiting", func(c proxy.Counts) int { return c.Waiting }),
	}
}
