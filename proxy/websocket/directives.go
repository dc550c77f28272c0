package websocket

import (
	"fmt"
	"strings"
	"time"

	"alicorn/config"
)

func directives(k *config.Key[settings]) []config.Directive {
	return []config.Directive{
		{Name: "websocket_max_message", In: config.AnyLevel, Args: config.OneArg, Syntax: "SIZE", Default: "16m",
			Set:  config.Size(k, func(c *settings) *int64 { return &c.maxMessage }),
			Help: "The largest message that a client may send over a WebSocket, after decompression; 0 is no limit. A client that sends a larger one gets a close with code 1009. It is uvicorn's --ws-max-size."},
		{Name: "websocket_ping_interval", In: config.AnyLevel, Args: config.OneArg, Syntax: "TIME", Default: "20s",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.pingInterval }),
			Help: "How long a client may send nothing over a WebSocket before it gets a ping; 0 sends none. While the application takes no messages, the client is not read from and gets no ping."},
		{Name: "websocket_ping_timeout", In: config.AnyLevel, Args: config.OneArg, Syntax: "TIME", Default: "20s",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.pingTimeout }),
			Help: "How long a client may send nothing after a ping. Then it gets a close with code 1011, and the application sees the connection lost (1006). 0 waits without limit."},
		{Name: "websocket_rate", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Syntax: "off | N/s | N/m [burst=N]", Default: "off",
			Set:  setRate(k),
			Help: "How many messages and pings each client may send over a WebSocket per second or minute, and how many more at once (burst, 0 by default). A client that sends more gets a close with code 1008."},
		{Name: "websocket_origin", In: config.AnyLevel, Args: config.SomeArg, Repeat: true, Syntax: "any | none | same | NAME | ~REGEX ...", Default: "any",
			Set:  setOrigin(k),
			Help: "From which sites browsers may open a WebSocket; others get 403. A page of any site can open one with the user's cookies, so applications that trust cookies need this. same is the site of the request itself (scheme, Host and port). A NAME is a host, all subdomains of a host (*.example.com), or an origin such as https://example.com. ~ begins a regular expression (~* one that ignores case) that is matched against the field Origin. none is a request without Origin, which no browser sends; without none such requests get 403, too. A block's own values replace those that it inherits."},
		{Name: "websocket_compression", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.compress }),
			Help: "Whether messages are compressed (permessage-deflate, RFC 7692) for clients that offer it. An idle connection holds at most 6 KB for it."},
	}
}

// maxRate bounds the numbers of websocket_rate.
const maxRate = 1_000_000

// setRate returns the Setter of websocket_rate.
func setRate(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		var r rate
		if n.Arg(0) != "off" {
			per, err := parseRate(n.Arg(0))
			if err != nil {
				return err
			}
			r.each = per
		}
		if len(n.Args) > 1 {
			digits, ok := strings.CutPrefix(n.Arg(1), "burst=")
			burst, err := config.ParseInt(digits, 0, maxRate)
			if !ok || err != nil || r.each == 0 {
				return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid parameter %q of websocket_rate: must be burst=N after a rate, with N from 0 to %d", n.Arg(1), maxRate)}
			}
			r.burst = time.Duration(burst) * r.each
		}
		k.In(s).rate = r
		return nil
	}
}

// parseRate returns the time between two messages at a rate.
func parseRate(text string) (time.Duration, error) {
	digits, unit := text, time.Duration(0)
	if d, ok := strings.CutSuffix(text, "/s"); ok {
		digits, unit = d, time.Second
	} else if d, ok := strings.CutSuffix(text, "/m"); ok {
		digits, unit = d, time.Minute
	}
	n, err := config.ParseInt(digits, 1, maxRate)
	if err != nil || unit == 0 {
		return 0, fmt.Errorf("invalid rate %q: must be off, or a number from 1 to %d with /s or /m", text, maxRate)
	}
	return unit / time.Duration(n), nil
}

// setOrigin returns the Setter of websocket_origin.
func setOrigin(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		for _, a := range n.Args {
			o, err := parseOrigin(s, a)
			if err != nil {
				return &config.Error{Pos: a.Pos, Msg: err.Error()}
			}
			c.origins.Add(s, o)
		}
		return nil
	}
}
