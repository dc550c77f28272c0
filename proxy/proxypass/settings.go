package proxypass

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// settings are the settings of a block about passing requests on.
type settings struct {
	pass    *target // this location's own proxy_pass or its like; nil: none
	passPos config.Pos

	headers   config.List[setHeader]
	hidden    config.List[string]
	shown     config.List[string]
	redirects config.List[edit]
	cookies   cookieSettings

	version        string // proxy_http_version
	method         *proxy.Template
	body           *proxy.Template // proxy_set_body; nil: the client's
	passHeaders    bool
	setsHeaders    bool // proxy_headers
	passBody       bool
	readFirst      bool // proxy_request_buffering
	connectTimeout time.Duration
	sendTimeout    time.Duration
	readTimeout    time.Duration
	buffering      bool
	bufferSize     int64
	buffers        int64 // all of proxy_buffers together
	maxTemp        int64
	limitRate      *proxy.Template // nil: without a limit
	ignoreAbort    bool
	intercept      bool
	passTrailers   bool
	forceRanges    bool
	ignored        ignored         // proxy_ignore_headers
	next           upstream.Repeat // proxy_next_upstream, _tries and _timeout

	bind    bindSettings
	secure  secureSettings
	gateway gateway
}

// setHeader is one proxy_set_header.
type setHeader struct {
	name  string
	value *proxy.Template
}

type key = config.Key[settings]

// pageSize is the size of a page of memory, which is nginx's default for buffers.
const pageSize = 4 << 10

func newKey() *key {
	k := config.NewKey(func() settings {
		return settings{
			version: "1.1", passHeaders: true, passBody: true, readFirst: true,
			connectTimeout: time.Minute, sendTimeout: time.Minute, readTimeout: time.Minute,
			buffering: true, bufferSize: pageSize, buffers: 8 * pageSize, maxTemp: 1 << 30,
			secure: secureSettings{depth: 1, resumes: true},
			next:   upstream.Repeat{On: upstream.OnError | upstream.OnTimeout, Begun: upstream.BegunIdempotent},
		}
	})
	k.Enter = func(s *config.Scope, c *settings) {
		if s.Context != config.LimitExcept {
			c.pass = nil
		}
	}
	return k
}

// setPass reads proxy_pass and its like.
func setPass(k *key, parse func(text string) (*target, error)) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		pos := n.Args[0].Pos
		c := k.In(s)
		c.passPos = pos
		if strings.Contains(n.Arg(0), "$") {
			literal, _, _ := strings.Cut(n.Arg(0), "$")
			c.pass = &target{value: proxy.ParseTemplate(s.Load(), pos, n.Arg(0)), parse: parse, shown: proxy.ParseTemplate(s.Load(), pos, "$proxy_host"), text: n.Arg(0),
				secure: wantsTLS(n.Arg(0)) || !strings.Contains(literal, "://")}
			return nil
		}
		t, err := parse(n.Arg(0))
		if err == nil && strings.ContainsFunc(t.uri, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			err = fmt.Errorf("invalid URI %q of %s: it has a space or a control character", t.uri, n.Name)
		}
		if err != nil {
			return &config.Error{Pos: pos, Msg: err.Error()}
		}
		c.pass = t
		return nil
	}
}

// wantsTLS reports whether the text of a target begins as that of a server with TLS.
func wantsTLS(text string) bool {
	_, https := cutScheme(text, "https")
	_, suwsgi := cutScheme(text, "suwsgi")
	return https || suwsgi
}

// framing are the fields about the framing of the body. The encoder sets them itself.
var framing = []string{"content-length", "transfer-encoding"}

func setRequestHeader(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		name := n.Arg(0)
		if !proxy.IsToken(name) {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid header field name %q", name)}
		}
		if slices.Contains(framing, strings.ToLower(name)) && n.Arg(1) != "" {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid value %q of %s: the server sets this field itself; only \"\" is allowed", n.Arg(1), name)}
		}
		k.In(s).headers.Add(s, setHeader{name, proxy.ParseTemplate(s.Load(), n.Args[1].Pos, n.Arg(1))})
		return nil
	}
}

func setMethod(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		if !strings.Contains(n.Arg(0), "$") && !proxy.IsToken(n.Arg(0)) {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("proxy_method: invalid method %q", n.Arg(0))}
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
			return &config.Error{Pos: n.Args[0].Pos, Msg: n.Name + ": " + err.Error()}
		}
		size, err := config.ParseSizeIn(n.Arg(1), 1, 1<<30)
		if err != nil {
			return &config.Error{Pos: n.Args[1].Pos, Msg: n.Name + ": " + err.Error()}
		}
		k.In(s).buffers = int64(number) * size
		return nil
	}
}

// nextWords are the failures of proxy_next_upstream.
var nextWords = []config.Choice[upstream.Failure]{
	{Word: "error", Value: upstream.OnError}, {Word: "timeout", Value: upstream.OnTimeout}, {Word: "invalid_header", Value: upstream.OnInvalidHeader},
	{Word: "http_500", Value: upstream.On500}, {Word: "http_502", Value: upstream.On502}, {Word: "http_503", Value: upstream.On503}, {Word: "http_504", Value: upstream.On504},
	{Word: "http_403", Value: upstream.On403}, {Word: "http_404", Value: upstream.On404}, {Word: "http_429", Value: upstream.On429},
	{Word: nonIdempotent}, {Word: "off"},
}

const nonIdempotent = "non_idempotent"

func setNext(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		next := &k.In(s).next
		next.On, next.Begun = 0, upstream.BegunIdempotent
		for _, a := range n.Args {
			i := slices.IndexFunc(nextWords, func(c config.Choice[upstream.Failure]) bool { return c.Word == a.Text })
			switch {
			case i < 0:
				words := make([]string, len(nextWords))
				for j, c := range nextWords {
					words[j] = fmt.Sprintf("%q", c.Word)
				}
				return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("%s: %q is not one of %s", n.Name, a.Text, strings.Join(words, ", "))}
			case a.Text == "off" && len(n.Args) > 1:
				return &config.Error{Pos: a.Pos, Msg: n.Name + ": \"off\" must stand alone"}
			case a.Text == nonIdempotent:
				next.Begun = upstream.BegunAlways
			}
			next.On |= nextWords[i].Value
		}
		return nil
	}
}
