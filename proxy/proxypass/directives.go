package proxypass

import (
	"slices"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// directives returns the family of p: what all families have, with the texts of proxy_*,
// and its own.
func (p *protocol) directives() []config.Directive {
	all := slices.Concat(p.requestDirectives(), p.socketDirectives(), p.answerDirectives())
	if p.secure {
		all = append(all, p.secureDirectives()...)
	}
	for i := range all {
		all[i].Help = strings.ReplaceAll(all[i].Help, "proxy_", p.name+"_")
	}
	return append(all, p.own(p.key)...)
}

func (p *protocol) requestDirectives() []config.Directive {
	in, k := config.AnyLevel, p.key
	chunked := "A chunked body is read first all the same"
	if p.chunks {
		chunked = "A chunked body goes on in chunks; to a server of HTTP/1.0 it is read first all the same"
	}
	return []config.Directive{
		{Name: p.name + "_connect_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "60s",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.connectTimeout }),
			Help: "How long a connection to a server may take to be there. Past it another server is asked (proxy_next_upstream), or the answer is 504. 0: as long as the system tries; in nginx the answer is 504 at once."},
		{Name: p.name + "_send_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "60s",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.sendTimeout }),
			Help: "How long a server may take no byte of the request. Past it the answer is 504. 0: as long as it likes; in nginx the answer is 504 at once."},
		{Name: p.name + "_read_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "60s",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.readTimeout }),
			Help: "How long a server may send no byte of the answer. Past it the answer is 504, or ends where it has begun to reach the client. 0: as long as it likes; in nginx the answer is 504 at once."},
		{Name: p.name + "_ignore_client_abort", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.ignoreAbort }),
			Help: "Whether the server is asked to the end when the client leaves before the answer has begun to reach it. Off: its connection is closed at once. As in nginx a client that ends its sending side counts as one that leaves."},
		{Name: p.name + "_next_upstream", In: in, Args: config.SomeArg, Syntax: "error | timeout | invalid_header | http_500 | http_502 | http_503 | http_504 | http_403 | http_404 | http_429 | non_idempotent | off ...", Default: "error timeout", Set: setNext(k),
			Help: "After which failures another server of the upstream is asked. A request that has begun to be sent is repeated only if its method is idempotent (not POST, LOCK, PATCH), unless non_idempotent is given; none is once the answer has begun to reach the client. A kept connection that turns out to be closed is no failure: the request is sent by another one."},
		{Name: p.name + "_next_upstream_tries", In: in, Args: config.OneArg, Syntax: "N", Default: "0",
			Set:  config.Int(k, 0, 1<<20, func(c *settings) *int { return &c.next.Tries }),
			Help: "How many servers a request may be sent to; 0: to each once."},
		{Name: p.name + "_next_upstream_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "0",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.next.Timeout }),
			Help: "For how long after its beginning a request may be sent to another server; 0: without a bound."},
		{Name: p.name + "_pass_request_headers", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.passHeaders }),
			Help: "Whether the client's header fields are passed on. What the configuration sets itself is in any case."},
		{Name: p.name + "_pass_request_body", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.passBody }),
			Help: "Whether the request's body is passed on."},
		{Name: p.name + "_request_buffering", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.readFirst }),
			Help: "Whether a request's body is read before a server is asked. With off the server gets it while the client sends it: a slow client occupies a connection to the server, and the client may send no faster than the server reads. " + chunked + ", as all bodies are where the system has no epoll. An answer that comes before the body has ended is passed on, and the rest of the body with it until the answer ends. A request of whose body a part was sent goes to no other server, and where error_page or X-Accel-Redirect leads to a location that needs the body the answer is 500."},
	}
}

func (p *protocol) answerDirectives() []config.Directive {
	in, k := config.AnyLevel, p.key
	return []config.Directive{
		{Name: p.name + "_hide_header", In: in, Args: config.OneArg, Repeat: true, Syntax: "NAME", Set: addFieldName(k, func(c *settings) *config.List[string] { return &c.hidden }),
			Help: "A field of answers that clients do not see, beside " + p.unseen + ". What X-Accel-* asks of this server is done all the same."},
		{Name: p.name + "_pass_header", In: in, Args: config.OneArg, Repeat: true, Syntax: "NAME", Set: addFieldName(k, func(c *settings) *config.List[string] { return &c.shown }),
			Help: "A field of answers that clients see though it would be hidden: one of " + p.unseen + "."},
		{Name: p.name + "_buffering", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.buffering }),
			Help: "Whether an answer is read as fast as the server sends it, and waits here for a slow client: in memory (proxy_buffers), then in a file (proxy_max_temp_file_size). Off: the server waits for the client once proxy_buffer_size bytes do. In both cases each part is sent as soon as the client takes it, but for an answer with a Content-Length of 32k or less: buffered, it is sent when it is there whole. X-Accel-Buffering: no in an answer is off for it."},
		{Name: p.name + "_buffer_size", In: in, Args: config.OneArg, Syntax: "SIZE", Default: "4k",
			Set:  config.SizeIn(k, 64, 1<<30, func(c *settings) *int64 { return &c.bufferSize }),
			Help: "The longest head of an answer. A longer one is answered 502."},
		{Name: p.name + "_buffers", In: in, Args: config.TwoArgs, Syntax: "NUMBER SIZE", Default: "8 4k", Set: setBuffers(k),
			Help: "How much of an answer that its client has not taken yet waits in memory: NUMBER times SIZE. More goes to a temporary file."},
		{Name: p.name + "_max_temp_file_size", In: in, Args: config.OneArg, Syntax: "SIZE", Default: "1024m",
			Set:  config.Size(k, func(c *settings) *int64 { return &c.maxTemp }),
			Help: "How much of an answer that memory does not hold may wait in a temporary file. Past it, and with 0, the server waits for the client."},
		{Name: p.name + "_limit_rate", In: in, Args: config.OneArg, Syntax: "RATE", Default: "0", Set: proxy.SetSize(k, func(c *settings) **proxy.Template { return &c.limitRate }),
			Help: "How many bytes of an answer are read from the server in a second; 0: as fast as it sends. It may have variables. It holds for each request alone, and only while proxy_buffering is on."},
		{Name: p.name + "_ignore_headers", In: in, Args: config.SomeArg, Syntax: "X-Accel-Redirect | X-Accel-Buffering | X-Accel-Charset | X-Accel-Limit-Rate | X-Accel-Expires | Expires | Cache-Control | Set-Cookie | Vary ...", Set: setIgnored(k),
			Help: "Fields of answers that say nothing to this server. The last five have no meaning here in any case: answers are not cached. What clients see of an answer stays as it is."},
		{Name: p.name + "_intercept_errors", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.intercept }),
			Help: "Whether error_page applies to answers with a status of 300 or more, where there is one for it."},
	}
}

// httpDirectives are those of proxy_* alone.
func httpDirectives(k *key) []config.Directive {
	in := config.AnyLevel
	return append(cookieDirectives(k), []config.Directive{
		{Name: "proxy_pass", In: config.Location | config.LocationIf | config.LimitExcept, Args: config.OneArg, Syntax: "http[s]://HOST[:PORT][/URI] | http[s]://unix:PATH[:URI]", Set: setPass(k, parseTarget),
			Help: "Passes the location's requests on to the server of that address, or to one of those of the upstream block that HOST names. Host names are looked up when the configuration is read; all addresses of a name take turns. With a URI the part of the path that is the location's name is replaced by it; without one requests are passed on as they came, or, where a rewrite or an internal redirect has changed the path, with that path. As in nginx a URI cannot stand in a location with a regular expression, a named location, or an \"if\" or \"limit_except\" block, and one is ignored where a \"rewrite ... break\" has changed the path. With https the server is reached by TLS, as proxy_ssl_* say, and never without." + variablesHelp + " A URI in such a value is the whole of the request's, without the client's arguments. https is not here yet in a value with variables."},
		{Name: "proxy_http_version", In: in, Args: config.OneArg, Syntax: "1.0 | 1.1", Default: "1.1",
			Set:  config.Enum(k, []config.Choice[string]{{Word: "1.0", Value: "1.0"}, {Word: "1.1", Value: "1.1"}}, func(c *settings) *string { return &c.version }),
			Help: "The version of HTTP that requests are passed on with. 1.1 is the default, as in nginx since 1.29.7: it keeps connections, which is most of what a short request costs. Servers of HTTP/1.0 answer it, too."},
		{Name: "proxy_set_header", In: in, Args: config.TwoArgs, Repeat: true, Syntax: "NAME VALUE", Default: "Host $proxy_host", Set: setRequestHeader(k),
			Help: "Sets a field of the requests that are passed on, in place of the client's; an empty VALUE, which may have variables, leaves it out. A block's own replace those that it inherits. Host is $proxy_host otherwise, and Connection, Keep-Alive, TE, Expect, Upgrade and what the client's Connection names are left out: they concern the client's connection. Where a server is to switch protocols, as for WebSockets, Upgrade $http_upgrade and Connection upgrade are set, as in nginx: what follows its 101 passes both ways, until both sides have ended or nothing has come from the server for proxy_read_timeout. Content-Length and Transfer-Encoding say what is sent, whatever is set."},
		{Name: "proxy_headers", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.setsHeaders }),
			Help: "Sets the fields that applications behind a proxy look for: Host is the client's, X-Forwarded-For and X-Real-IP have its address, X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-Port what it has asked for, and Forwarded (RFC 7239) says the same. Fields that proxy_set_header sets are as that says. What the client itself sends of these, and of X-Forwarded-*, is dropped. But a peer on a loopback or private address, or on a unix socket, counts as a proxy, as for app_pass: what it says stays, and its lists get one more entry. Not a directive of nginx, where it takes seven lines."},
		{Name: "proxy_method", In: in, Args: config.OneArg, Syntax: "METHOD", Set: setMethod(k),
			Help: "The method of the requests that are passed on, in place of the client's. It may have variables."},
		{Name: "proxy_pass_trailers", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.passTrailers }),
			Help: "Whether the client gets the fields that come behind the body of a chunked answer, if it says TE: trailers. A server sends them when it is asked to, by proxy_set_header Connection te and proxy_set_header TE trailers."},
		{Name: "proxy_redirect", In: in, Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "default | off | FROM TO", Default: "default", Set: setRedirect(k),
			Help: "Where Location or Refresh of an answer begins with FROM, it begins with TO instead; both may have variables. The first that fits counts. default puts the location's name in place of proxy_pass's URL. A result without a host gets this server's. After \"~\", or \"~*\" to ignore case, FROM is a regular expression, and TO, which may have its groups, takes the place of the whole URL."},
		{Name: "proxy_set_body", In: in, Args: config.OneArg, Syntax: "VALUE", Set: proxy.SetTemplate(k, func(c *settings) **proxy.Template { return &c.body }),
			Help: "The body of the requests that are passed on, in place of the client's. It may have variables."},
	}...)
}
