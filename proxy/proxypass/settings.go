package proxypass

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// settings are what a block says about passing requests on.
type settings struct {
	pass    *target // of this very location
	passPos config.Pos
	group   *definition // of this very upstream block
	all     *definitions

	headers   config.List[setHeader]
	hidden    config.List[string]
	shown     config.List[string]
	redirects config.List[redirect]

	version        string // proxy_http_version
	method         *proxy.Template
	passHeaders    bool
	passBody       bool
	connectTimeout time.Duration
	sendTimeout    time.Duration
	readTimeout    time.Duration
	buffering      bool
	bufferSize     int64
	buffers        int64 // all of proxy_buffers together
	maxTemp        int64
	ignoreAbort    bool
	intercept      bool
	next           failureKind // which failures proxy_next_upstream repeats
	nextTries      int
	nextTimeout    time.Duration
}

// setHeader is one proxy_set_header.
type setHeader struct {
	name  string
	value *proxy.Template
}

type key = config.Key[settings]

// pageSize is what nginx takes a page of memory for, of which its buffers have one.
const pageSize = 4 << 10

func newKey() *key {
	k := config.NewKey(func() settings {
		return settings{
			all: &definitions{}, version: "1.1", passHeaders: true, passBody: true,
			connectTimeout: time.Minute, sendTimeout: time.Minute, readTimeout: time.Minute,
			buffering: true, bufferSize: pageSize, buffers: 8 * pageSize, maxTemp: 1 << 30,
			next: kindError | kindTimeout,
		}
	})
	k.Enter = func(s *config.Scope, c *settings) {
		c.pass, c.group = nil, nil
	}
	k.Leave = func(s *config.Scope, c *settings) error {
		if c.group == nil {
			return nil
		}
		return c.group.complete()
	}
	return k
}

func setPass(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		t, err := parseTarget(n.Arg(0))
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: err.Error()}
		}
		k.In(s).pass, k.In(s).passPos = t, n.Args[0].Pos
		return nil
	}
}

// framing are the fields that say which body a request has: they always say what is sent.
var framing = []string{"content-length", "transfer-encoding"}

func setRequestHeader(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		name := n.Arg(0)
		if !proxy.IsToken(name) {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid header field name %q", name)}
		}
		if slices.Contains(framing, strings.ToLower(name)) && n.Arg(1) != "" {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("%s cannot be %q: it says what is sent; \"\" is allowed", name, n.Arg(1))}
		}
		k.In(s).headers.Add(s, setHeader{name, proxy.ParseTemplate(s.Load(), n.Args[1].Pos, n.Arg(1))})
		return nil
	}
}

func setMethod(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		if !strings.Contains(n.Arg(0), "$") && !proxy.IsToken(n.Arg(0)) {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("proxy_method: %q is no method", n.Arg(0))}
		}
		k.In(s).method = proxy.ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0))
		return nil
	}
}

func addFieldName(k *key, list func(c *settings) *config.List[string]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		if !proxy.IsToken(n.Arg(0)) {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid header field name %q", n.Arg(0))}
		}
		list(k.In(s)).Add(s, strings.ToLower(n.Arg(0)))
		return nil
	}
}

func setBuffers(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		number, err := config.ParseInt(n.Arg(0), 2, 1<<20)
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: "proxy_buffers: " + err.Error()}
		}
		size, err := config.ParseSizeIn(n.Arg(1), 1, 1<<30)
		if err != nil {
			return &config.Error{Pos: n.Args[1].Pos, Msg: "proxy_buffers: " + err.Error()}
		}
		k.In(s).buffers = int64(number) * size
		return nil
	}
}

// nextWords are the words of proxy_next_upstream.
var nextWords = []config.Choice[failureKind]{
	{Word: "error", Value: kindError}, {Word: "timeout", Value: kindTimeout}, {Word: "invalid_header", Value: kindInvalidHeader},
	{Word: "http_500", Value: kind500}, {Word: "http_502", Value: kind502}, {Word: "http_503", Value: kind503}, {Word: "http_504", Value: kind504},
	{Word: "http_403", Value: kind403}, {Word: "http_404", Value: kind404}, {Word: "http_429", Value: kind429},
	{Word: "non_idempotent", Value: kindNonIdempotent}, {Word: "off", Value: 0},
}

func setNext(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		var mask failureKind
		for _, a := range n.Args {
			i := slices.IndexFunc(nextWords, func(c config.Choice[failureKind]) bool { return c.Word == a.Text })
			switch {
			case i < 0:
				words := make([]string, len(nextWords))
				for j, c := range nextWords {
					words[j] = fmt.Sprintf("%q", c.Word)
				}
				return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("proxy_next_upstream: %q is not one of %s", a.Text, strings.Join(words, ", "))}
			case a.Text == "off" && len(n.Args) > 1:
				return &config.Error{Pos: a.Pos, Msg: "proxy_next_upstream: \"off\" stands alone"}
			}
			mask |= nextWords[i].Value
		}
		k.In(s).next = mask
		return nil
	}
}
