package proxy

import (
	"slices"
	"time"

	"alicorn/config"
)

// maxHeaderBuffer bounds each buffer for a request's head, so that no sum of
// them overflows.
const maxHeaderBuffer = 1 << 30

// simple are the directives that set one field of Core.
func (m core) simple() []config.Directive {
	return slices.Concat(m.transferDirectives(), m.headDirectives(), m.answerDirectives(), m.accessDirectives())
}

func (m core) flag(name, help, def string, field func(c *Core) *bool) config.Directive {
	return config.Directive{Name: name, In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: def, Help: help,
		Set: config.Flag(m.settings, func(c *coreSettings) *bool { return field(&c.Core) })}
}

func (m core) duration(name, help, def string, field func(c *Core) *time.Duration) config.Directive {
	return config.Directive{Name: name, In: config.AnyLevel, Args: config.OneArg, Syntax: "TIME", Default: def, Help: help,
		Set: config.Duration(m.settings, func(c *coreSettings) *time.Duration { return field(&c.Core) })}
}

func (m core) size(name, help, def string, field func(c *Core) *int64) config.Directive {
	return config.Directive{Name: name, In: config.AnyLevel, Args: config.OneArg, Syntax: "SIZE", Default: def, Help: help,
		Set: config.Size(m.settings, func(c *coreSettings) *int64 { return field(&c.Core) })}
}

func (m core) headBuffer(name, help, def string, field func(c *Core) *int64) config.Directive {
	return config.Directive{Name: name, In: config.HTTP | config.Server, Args: config.OneArg, Syntax: "SIZE", Default: def, Help: help,
		Set: config.SizeIn(m.settings, 1, maxHeaderBuffer, func(c *coreSettings) *int64 { return field(&c.Core) })}
}

func serverOnly(d config.Directive) config.Directive {
	d.In = config.HTTP | config.Server
	return d
}

// transferDirectives bound bodies, pauses, and connections.
func (m core) transferDirectives() []config.Directive {
	k := m.settings
	return []config.Directive{
		m.size("client_max_body_size", "The largest request body; past it the answer is 413. 0 is no bound.", "1m; no bound under serve",
			func(c *Core) *int64 { return &c.MaxBodySize }),
		m.size("client_body_buffer_size", "How much of a request body is kept in memory; the rest goes to a file in client_body_temp_path.", "16k",
			func(c *Core) *int64 { return &c.BodyBufferSize }),
		{Name: "client_body_temp_path", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 4}, Syntax: "DIRECTORY [LEVEL ...]",
			Default: "client_body in the cache directory", Set: m.setTempPath,
			Help: "Where request bodies past client_body_buffer_size are kept, in files without a name. Started as root the server makes the directory and gives it to the serving user. Levels are accepted and not needed: no file has a name."},
		serverOnly(m.duration("client_header_timeout", "How long a client may take to send a request's head; then 408.", "60s",
			func(c *Core) *time.Duration { return &c.HeaderTimeout })),
		m.duration("client_body_timeout", "The longest pause between two reads of a request body; then 408.", "60s",
			func(c *Core) *time.Duration { return &c.BodyTimeout }),
		m.duration("send_timeout", "The longest pause between two writes to the client; then the connection is closed.", "60s",
			func(c *Core) *time.Duration { return &c.SendTimeout }),
		{Name: "limit_rate", In: config.AnyLevel | config.LocationIf, Args: config.OneArg, Syntax: "SIZE", Default: "0", Set: m.setSize(func(c *Core) **Template { return &c.LimitRate }),
			Help: "How many bytes of a response's body go to the client in a second; 0 is no limit. Each request has its own limit. It may have variables, such as one of map. A value that set gives $limit_rate comes first, and so does the X-Accel-Limit-Rate of an application or another server. They are not kept waiting by it: what they have sent waits in app_buffers or proxy_buffers, and in a temporary file."},
		{Name: "limit_rate_after", In: config.AnyLevel | config.LocationIf, Args: config.OneArg, Syntax: "SIZE", Default: "0", Set: m.setSize(func(c *Core) **Template { return &c.LimitRateAfter }),
			Help: "How many bytes of a response's body go to the client before limit_rate limits the rest. It may have variables."},
		{Name: "keepalive_timeout", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Syntax: "TIME [HEADER_TIME]", Default: "75s", Set: m.setKeepalive,
			Help: "How long an idle connection stays open; 0 closes it after each response. The second value is sent as \"Keep-Alive: timeout=\"."},
		{Name: "keepalive_requests", In: config.AnyLevel, Args: config.OneArg, Syntax: "NUMBER", Default: "1000",
			Help: "How many requests one connection serves before it is closed.",
			Set:  config.Int(k, 0, 1<<31-1, func(c *coreSettings) *int { return &c.KeepaliveRequests })},
		m.duration("keepalive_time", "How long a connection serves requests before it is closed after the next response.", "1h",
			func(c *Core) *time.Duration { return &c.KeepaliveTime }),
		{Name: "lingering_close", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off | always", Default: "on",
			Help: "Whether what a client still sends is read and dropped before its connection is closed, so that it sees the response: on when more may come, always, or off.",
			Set: config.Enum(k, []config.Choice[Lingering]{{Word: "on", Value: LingeringOn}, {Word: "off", Value: LingeringOff}, {Word: "always", Value: LingeringAlways}},
				func(c *coreSettings) *Lingering { return &c.Lingering })},
		m.duration("lingering_time", "How long, in all, a closing connection is read.", "30s", func(c *Core) *time.Duration { return &c.LingeringTime }),
		m.duration("lingering_timeout", "The longest wait for more data on a closing connection.", "5s", func(c *Core) *time.Duration { return &c.LingeringTimeout }),
	}
}

// headDirectives are about a request's head.
func (m core) headDirectives() []config.Directive {
	k := m.settings
	return []config.Directive{
		m.headBuffer("client_header_buffer_size", "The first buffer for a request's head.", "1k", func(c *Core) *int64 { return &c.HeaderBufferSize }),
		{Name: "large_client_header_buffers", In: config.HTTP | config.Server, Args: config.TwoArgs, Syntax: "NUMBER SIZE", Default: "4 8k", Set: m.setLargeBuffers,
			Help: "How many buffers of which size a larger head may take. A request line longer than one is answered 414, a header line 400."},
		{Name: "max_headers", In: config.HTTP | config.Server, Args: config.OneArg, Syntax: "NUMBER", Default: "1000",
			Help: "How many header fields a request may have; one with more is answered 400 (494 for error_page). As for the buffers, the default server of the address decides.",
			Set:  config.Int(k, 1, 1<<31-1, func(c *coreSettings) *int { return &c.MaxHeaders })},
		serverOnly(m.flag("ignore_invalid_headers", "Drops header lines with names of other characters than letters, digits and hyphens; off passes them on.", "on", func(c *Core) *bool { return &c.IgnoreInvalid })),
		serverOnly(m.flag("underscores_in_headers", "Keeps header names with underscores, which could pass for others in CGI-like variables.", "off", func(c *Core) *bool { return &c.Underscores })),
		serverOnly(m.flag("merge_slashes", "Treats several slashes in a path as one.", "on", func(c *Core) *bool { return &c.MergeSlashes })),
	}
}

// answerDirectives are about answers.
func (m core) answerDirectives() []config.Directive {
	k := m.settings
	return []config.Directive{
		m.flag("server_tokens", "Shows the version in the Server field and on status pages.", "on", func(c *Core) *bool { return &c.ServerTokens }),
		m.flag("reset_timedout_connection", "Resets connections that timed out, which frees their memory at once.", "off", func(c *Core) *bool { return &c.ResetTimedOut }),
		m.flag("chunked_transfer_encoding", "Uses chunked framing for HTTP/1.1 responses of unknown length; off ends them by closing.", "on", func(c *Core) *bool { return &c.ChunkedEncoding }),
		m.flag("recursive_error_pages", "Lets an error while an error page is made lead to another error page.", "off", func(c *Core) *bool { return &c.RecursivePages }),
		m.flag("absolute_redirect", "Redirects of our own carry scheme and host.", "on", func(c *Core) *bool { return &c.AbsoluteRedirect }),
		m.flag("server_name_in_redirect", "Absolute redirects name the first server_name instead of the request's host.", "off", func(c *Core) *bool { return &c.ServerNameInRedir }),
		m.flag("port_in_redirect", "Absolute redirects carry the port when it is not the scheme's own.", "on", func(c *Core) *bool { return &c.PortInRedirect }),
		m.flag("log_not_found", "Logs files that are not found.", "on", func(c *Core) *bool { return &c.LogNotFound }),
		{Name: "default_type", In: config.AnyLevel, Args: config.OneArg, Syntax: "TYPE", Default: "text/plain",
			Help: "The content type of files whose extension types does not have.",
			Set:  config.String(k, func(c *coreSettings) *string { return &c.DefaultType })},
		{Name: "types", In: config.AnyLevel, Block: true, Args: config.NoArgs, Repeat: true, Syntax: "{ TYPE EXTENSION ...; }", Set: m.setTypes,
			Default: "the built-in table, larger than nginx's mime.types",
			Help:    "Content types by file extension, without case. A block's own types replace those it inherits; at the top of a file without http { } they add to the built-in ones."},
	}
}

// accessDirectives are about who may see what.
func (m core) accessDirectives() []config.Directive {
	k := m.settings
	return []config.Directive{
		{Name: "satisfy", In: config.AnyLevel, Args: config.OneArg, Syntax: "all | any", Default: "all",
			Set:  config.Enum(k, []config.Choice[bool]{{Word: "all", Value: false}, {Word: "any", Value: true}}, func(c *coreSettings) *bool { return &c.SatisfyAny }),
			Help: "Whether a request must be let in by all of allow and deny, auth_basic and auth_request that its location has, or by one of them. They are asked in this order. With any a request that nobody lets in is answered 401 if one of them says 401, else 403."},
		m.duration("auth_delay", "How long a request waits for an answer of 401, so that passwords cannot be tried fast by one connection after the other. It waits without a goroutine; other requests do not.", "0s", func(c *Core) *time.Duration { return &c.AuthDelay }),
		{Name: "internal", In: config.Location, Args: config.NoArgs,
			Help: "The location answers internal redirects only; a client's request for it is 404.",
			Set:  func(s *config.Scope, n *config.Node) error { k.In(s).Internal = true; return nil }},
	}
}

func (m core) setTempPath(s *config.Scope, n *config.Node) error {
	c := m.settings.In(s)
	c.BodyTempPath = s.Load().Path(n.Arg(0))
	s.Load().WritesTemporary(n.Args[0].Pos, c.BodyTempPath)
	return nil
}

func (m core) setKeepalive(s *config.Scope, n *config.Node) error {
	c := m.settings.In(s)
	var err error
	if c.KeepaliveTimeout, err = config.ParseTime(n.Arg(0)); err != nil {
		return err
	}
	c.KeepaliveHeader = 0
	if len(n.Args) == 2 {
		c.KeepaliveHeader, err = config.ParseTime(n.Arg(1))
	}
	return err
}

func (m core) setLargeBuffers(s *config.Scope, n *config.Node) error {
	c := m.settings.In(s)
	var err error
	if c.LargeBuffers, err = config.ParseInt(n.Arg(0), 1, 1024); err != nil {
		return err
	}
	c.LargeBufferSize, err = config.ParseSizeIn(n.Arg(1), 1, maxHeaderBuffer)
	return err
}
