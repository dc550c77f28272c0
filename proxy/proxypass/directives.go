package proxypass

import (
	"slices"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// directives returns the family of p: the directives that all families have, and its own.
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
	chunked := "A chunked body is always read first"
	if p.chunks {
		chunked = "A chunked body is passed on in chunks; to a server of HTTP/1.0 it is always read first"
	}
	return []config.Directive{
		{Name: p.name + "_connect_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "60s",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.connectTimeout }),
			Help: "How long connecting to a server may take. After that, another server gets the request (proxy_next_upstream), or the answer is 504. 0: as long as the system tries; in nginx the answer is 504 at once."},
		{Name: p.name + "_send_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "60s",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.sendTimeout }),
			Help: "How long a server may take no byte of the request. After that the answer is 504. 0: without a bound; in nginx the answer is 504 at once."},
		{Name: p.name + "_read_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "60s",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.readTimeout }),
			Help: "How long a server may send no byte of the answer. After that the answer is 504, or is cut if the client has got a part of it. 0: without a bound; in nginx the answer is 504 at once."},
		{Name: p.name + "_ignore_client_abort", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.ignoreAbort }),
			Help: "Whether a request goes on if its client leaves before it has got a part of the answer. With off the connection to the server is closed at once. As in nginx, a client that ends its sending side counts as one that leaves."},
		{Name: p.name + "_next_upstream", In: in, Args: config.SomeArg, Syntax: "error | timeout | invalid_header | http_500 | http_502 | http_503 | http_504 | http_403 | http_404 | http_429 | non_idempotent | off ...", Default: "error timeout", Set: setNext(k),
			Help: "The failures after which another server of the upstream gets the request. A request of which a part was sent is repeated only if its method is idempotent (not POST, LOCK, PATCH), or with non_idempotent. No request is repeated once its client has got a part of the answer. A kept connection that turns out to be closed is not a failure: the request is sent again by another connection."},
		{Name: p.name + "_next_upstream_tries", In: in, Args: config.OneArg, Syntax: "N", Default: "0",
			Set:  config.Int(k, 0, 1<<20, func(c *settings) *int { return &c.next.Tries }),
			Help: "How many servers a request may be sent to; 0: to each once."},
		{Name: p.name + "_next_upstream_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "0",
			Set:  config.Duration(k, func(c *settings) *time.Duration { return &c.next.Timeout }),
			Help: "How long after its beginning a request may be sent to another server; 0: without a bound."},
		{Name: p.name + "_pass_request_headers", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.passHeaders }),
			Help: "Whether the client's header fields are passed on. Fields that the configuration sets are always sent."},
		{Name: p.name + "_pass_request_body", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.passBody }),
			Help: "Whether the request's body is passed on."},
		{Name: p.name + "_request_buffering", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.readFirst }),
			Help: "Whether a request's body is read before a server gets the request. With off the server gets the body while the client sends it: a slow client occupies a connection to the server, and the client can send no faster than the server reads. " + chunked + ". On a system without epoll all bodies are read first. If an answer comes before the body has ended, it is passed on at once, and the body, too, until the answer ends. After a part of the body was sent, the request is not repeated, and if error_page or X-Accel-Redirect leads to a location that needs the body, the answer is 500."},
	}
}

func (p *protocol) answerDirectives() []config.Directive {
	in, k := config.AnyLevel, p.key
	return []config.Directive{
		{Name: p.name + "_hide_header", In: in, Args: config.OneArg, Repeat: true, Syntax: "NAME", Set: addFieldName(k, func(c *settings) *config.List[string] { return &c.hidden }),
			Help: "A field of answers that clients do not get, besides " + p.unseen + ". X-Accel-* has its effect on this server nevertheless."},
		{Name: p.name + "_pass_header", In: in, Args: config.OneArg, Repeat: true, Syntax: "NAME", Set: addFieldName(k, func(c *settings) *config.List[string] { return &c.shown }),
			Help: "A field of answers that clients get although it would be hidden: one of " + p.unseen + "."},
		{Name: p.name + "_force_ranges", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.forceRanges }),
			Help: "Whether a client that asks for a range of bytes gets it from an answer 200 that has all of them, whatever Accept-Ranges of the answer says. The server sends the whole answer. The answer needs a Content-Length; one that is compressed here has none. If the client asks for several ranges it gets the whole answer, as in nginx. If-Range is compared with ETag and Last-Modified of the answer."},
		{Name: p.name + "_buffering", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.buffering }),
			Help: "Whether an answer is read as fast as the server sends it, and waits here for a slow client: in memory (proxy_buffers), then in a file (proxy_max_temp_file_size). With off the server waits for the client once proxy_buffer_size bytes wait here. In both cases each part is sent as soon as the client takes it. Only an answer with a Content-Length of at most 32k is sent when all of it has come, if it is buffered. X-Accel-Buffering: no in an answer means off for that answer."},
		{Name: p.name + "_buffer_size", In: in, Args: config.OneArg, Syntax: "SIZE", Default: "4k",
			Set:  config.SizeIn(k, 64, 1<<30, func(c *settings) *int64 { return &c.bufferSize }),
			Help: "The largest head of an answer. If an answer has a larger one, the client gets 502."},
		{Name: p.name + "_buffers", In: in, Args: config.TwoArgs, Syntax: "NUMBER SIZE", Default: "8 4k", Set: setBuffers(k),
			Help: "How much of an answer may wait in memory for its client: NUMBER times SIZE. The rest goes to a temporary file."},
		{Name: p.name + "_max_temp_file_size", In: in, Args: config.OneArg, Syntax: "SIZE", Default: "1024m",
			Set:  config.Size(k, func(c *settings) *int64 { return &c.maxTemp }),
			Help: "How much of an answer that does not fit in memory may wait in a temporary file. Beyond that, and with 0, the server waits for the client."},
		{Name: p.name + "_limit_rate", In: in, Args: config.OneArg, Syntax: "RATE", Default: "0", Set: proxy.SetSize(k, func(c *settings) **proxy.Template { return &c.limitRate }),
			Help: "How many bytes of an answer are read from the server per second; 0: without a limit. It may have variables. It applies to each request separately, and only with proxy_buffering on."},
		{Name: p.name + "_ignore_headers", In: in, Args: config.SomeArg, Syntax: "X-Accel-Redirect | X-Accel-Buffering | X-Accel-Charset | X-Accel-Limit-Rate | X-Accel-Expires | Expires | Cache-Control | Set-Cookie | Vary ...", Set: setIgnored(k),
			Help: "Fields of answers that this server ignores. The last five never have an effect here, because answers are not cached. The directive does not change which fields clients get."},
		{Name: p.name + "_intercept_errors", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.intercept }),
			Help: "Whether error_page applies to answers with a status of 300 or more, if there is one for the status."},
	}
}

// httpDirectives returns the directives that only proxy_* has.
func httpDirectives(k *key) []config.Directive {
	in := config.AnyLevel
	return append(cookieDirectives(k), []config.Directive{
		{Name: "proxy_pass", In: config.Location | config.LocationIf | config.LimitExcept, Args: config.OneArg, Syntax: "http[s]://HOST[:PORT][/URI] | http[s]://unix:PATH[:URI]", Set: setPass(k, parseTarget),
			Help: "Passes the location's requests on to the server at that address, or to the servers of the upstream block HOST. Host names are looked up when the configuration is read; all addresses of a name take turns. With a URI, it replaces the part of the path that is the location's name. Without one, requests are passed on with the path that the client has sent, or, if a rewrite or an internal redirect has changed the path, with that path. As in nginx, a URI cannot be used in a location with a regular expression, a named location, or an \"if\" or \"limit_except\" block, and it is ignored if a \"rewrite ... break\" has changed the path. With https the server is reached by TLS, with the settings of proxy_ssl_*, and never without TLS." + variablesHelp + " If such a value has a URI, that is the URI of the request, and the client's arguments are dropped. https is not here yet in a value with variables."},
		{Name: "proxy_http_version", In: in, Args: config.OneArg, Syntax: "1.0 | 1.1", Default: "1.1",
			Set:  config.Enum(k, []config.Choice[string]{{Word: "1.0", Value: "1.0"}, {Word: "1.1", Value: "1.1"}}, func(c *settings) *string { return &c.version }),
			Help: "The version of HTTP for requests to servers. The default is 1.1, as in nginx since 1.29.7: with it connections are kept, and connecting is most of the cost of a short request. Servers of HTTP/1.0 answer such requests, too."},
		{Name: "proxy_set_header", In: in, Args: config.TwoArgs, Repeat: true, Syntax: "NAME VALUE", Default: "Host $proxy_host", Set: setRequestHeader(k),
			Help: "Sets a field of the requests that are passed on, in place of the client's. VALUE may have variables; if it is empty, the field is left out. A block's own directives replace those that it inherits. Without this directive Host is $proxy_host, and Connection, Keep-Alive, TE, Expect, Upgrade and the fields that the client's Connection names are left out: they belong to the client's connection. For WebSockets, and other protocols that a server switches to, set Upgrade to $http_upgrade and Connection to upgrade, as in nginx. After the server's 101 bytes pass both ways, until both sides have ended or nothing has come from the server for proxy_read_timeout. Content-Length and Transfer-Encoding cannot be set."},
		{Name: "proxy_headers", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.setsHeaders }),
			Help: "Sets the fields that applications behind a proxy need: Host is the client's; X-Forwarded-For and X-Real-IP have the client's address; X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-Port have the scheme, host and port that the client has asked for; Forwarded (RFC 7239) has all of these. proxy_set_header replaces such a field. The client's own fields of these names, and X-Forwarded-*, are dropped. But a client on a loopback or private address, or on a unix socket, counts as a proxy, as for app_pass: its fields are passed on, with one more entry in lists. Behind a PROXY header the address in that header counts, as whoever sends one passes on the bytes of its clients. nginx does not have this directive; there it takes seven lines."},
		{Name: "proxy_method", In: in, Args: config.OneArg, Syntax: "METHOD", Set: setMethod(k),
			Help: "The method of the requests that are passed on, in place of the client's. It may have variables."},
		{Name: "proxy_pass_trailers", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.passTrailers }),
			Help: "Whether a client that sends TE: trailers gets the trailer of a chunked answer: the fields after its body. Servers send a trailer if they are asked to, by proxy_set_header Connection te and proxy_set_header TE trailers."},
		{Name: "proxy_redirect", In: in, Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "default | off | FROM TO", Default: "default", Set: setRedirect(k),
			Help: "Replaces FROM at the beginning of Location or Refresh in an answer by TO; both may have variables. The first directive that matches counts. default replaces the URL of proxy_pass by the location's name. A result without a host gets this server's. After \"~\", or \"~*\" to ignore case, FROM is a regular expression, and TO, which may have its groups, replaces the whole URL."},
		{Name: "proxy_set_body", In: in, Args: config.OneArg, Syntax: "VALUE", Set: proxy.SetTemplate(k, func(c *settings) **proxy.Template { return &c.body }),
			Help: "The body of the requests that are passed on, in place of the client's. It may have variables."},
	}...)
}
