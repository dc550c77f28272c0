package proxy

import (
	"slices"
	"time"

	"alicorn/config"
)

// maxHeaderBuffer is the largest size, in bytes, of a buffer for a request's head: the sum
// of all buffers cannot overflow.
const maxHeaderBuffer = 1 << 30

// simple are the directives that set fields of Core.
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

// transferDirectives bound bodies, pauses, rates and connections.
func (m core) transferDirectives() []config.Directive {
	k := m.settings
	return []config.Directive{
		m.size("client_max_body_size", "The largest request body. A larger one is answered with 413. 0 sets no bound.", "1m; no bound under serve",
			func(c *Core) *int64 { return &c.MaxBodySize }),
		m.size("client_body_buffer_size", "How much of a request body is kept in memory; the rest goes to a file in client_body_temp_path.", "16k",
			func(c *Core) *int64 { return &c.BodyBufferSize }),
		{Name: "client_body_temp_path", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 4}, Syntax: "DIRECTORY [LEVEL ...]",
			Default: "client_body in the cache directory", Set: m.setTempPath,
			Help: "The directory for request bodies that are larger than client_body_buffer_size. A server that is started as root makes the directory and gives it to the serving user. The files have no names, so that the levels, which nginx spreads its files over, have no effect."},
		serverOnly(m.duration("client_header_timeout", "How long a client may take to send a request's head. Then it is answered with 408.", "60s",
			func(c *Core) *time.Duration { return &c.HeaderTimeout })),
		m.duration("client_body_timeout", "The longest pause between two reads of a request body. After it the client is answered with 408.", "60s",
			func(c *Core) *time.Duration { return &c.BodyTimeout }),
		m.duration("send_timeout", "The longest pause between two writes to the client. After it the connection is closed.", "60s",
			func(c *Core) *time.Duration { return &c.SendTimeout }),
		{Name: "limit_rate", In: config.AnyLevel | config.LocationIf, Args: config.OneArg, Syntax: "SIZE", Default: "0", Set: m.setSize(func(c *Core) **Template { return &c.LimitRate }),
			Help: "How many bytes of a response's body go to the client in a second. 0 sets no limit. Each request has its own limit. The value may have variables, such as one of map. It is overridden by a set of $limit_rate, and by the field X-Accel-Limit-Rate of an application or another server. These do not wait for the client: what they send is kept in app_buffers or proxy_buffers, and in a temporary file."},
		{Name: "limit_rate_after", In: config.AnyLevel | config.LocationIf, Args: config.OneArg, Syntax: "SIZE", Default: "0", Set: m.setSize(func(c *Core) **Template { return &c.LimitRateAfter }),
			Help: "How many bytes of a response's body go to the client before limit_rate limits the rest. The value may have variables."},
		{Name: "keepalive_timeout", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Syntax: "TIME [HEADER_TIME]", Default: "75s", Set: m.setKeepalive,
			Help: "How long an idle connection stays open. 0 closes a connection after each response. The second value is sent in the field \"Keep-Alive: timeout=\"."},
		{Name: "keepalive_requests", In: config.AnyLevel, Args: config.OneArg, Syntax: "NUMBER", Default: "1000",
			Help: "How many requests one connection serves before it is closed.",
			Set:  config.Int(k, 0, 1<<31-1, func(c *coreSettings) *int { return &c.KeepaliveRequests })},
		m.duration("keepalive_time", "How long a connection serves requests before it is closed after the next response.", "1h",
			func(c *Core) *time.Duration { return &c.KeepaliveTime }),
		{Name: "lingering_close", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off | always", Default: "on",
			Help: "Whether the server, before it closes a connection, reads and drops what the client still sends, so that the client gets the whole response: on does so if more may come, always in any case, off never.",
			Set: config.Enum(k, []config.Choice[Lingering]{{Word: "on", Value: LingeringOn}, {Word: "off", Value: LingeringOff}, {Word: "always", Value: LingeringAlways}},
				func(c *coreSettings) *Lingering { return &c.Lingering })},
		m.duration("lingering_time", "How long a closing connection is read altogether; see lingering_close.", "30s", func(c *Core) *time.Duration { return &c.LingeringTime }),
		m.duration("lingering_timeout", "The longest wait for more data on a closing connection; see lingering_close.", "5s", func(c *Core) *time.Duration { return &c.LingeringTimeout }),
	}
}

// headDirectives are about a request's head.
func (m core) headDirectives() []config.Directive {
	k := m.settings
	return []config.Directive{
		m.headBuffer("client_header_buffer_size", "The size of the first buffer for a request's head, up to 1g.", "1k", func(c *Core) *int64 { return &c.HeaderBufferSize }),
		{Name: "large_client_header_buffers", In: config.HTTP | config.Server, Args: config.TwoArgs, Syntax: "NUMBER SIZE", Default: "4 8k", Set: m.setLargeBuffers,
			Help: "The number, up to 1024, and the size, up to 1g, of the buffers for a head that does not fit into client_header_buffer_size. A request line that is longer than one buffer is answered with 414, a longer header line with 400."},
		{Name: "max_headers", In: config.HTTP | config.Server, Args: config.OneArg, Syntax: "NUMBER", Default: "1000",
			Help: "How many header fields a request may have. A request with more is answered with 400 (494 for error_page). As for the buffers, the setting of the address's default server counts.",
			Set:  config.Int(k, 1, 1<<31-1, func(c *coreSettings) *int { return &c.MaxHeaders })},
		serverOnly(m.flag("ignore_invalid_headers", "Drops header lines whose names have other characters than letters, digits and hyphens. off passes them on.", "on", func(c *Core) *bool { return &c.IgnoreInvalid })),
		serverOnly(m.flag("underscores_in_headers", "Keeps header lines whose names have underscores. In variables such as those of CGI these names cannot be told from names with hyphens.", "off", func(c *Core) *bool { return &c.Underscores })),
		serverOnly(m.flag("merge_slashes", "Treats several slashes in a path as one.", "on", func(c *Core) *bool { return &c.MergeSlashes })),
	}
}

// answerDirectives are about responses.
func (m core) answerDirectives() []config.Directive {
	k := m.settings
	return []config.Directive{
		m.flag("server_tokens", "Shows the version in the Server field and on status pages.", "on", func(c *Core) *bool { return &c.ServerTokens }),
		m.flag("reset_timedout_connection", "Resets connections that have timed out, and those that status 444 closes, which frees their memory at once.", "off", func(c *Core) *bool { return &c.ResetTimedOut }),
		m.flag("chunked_transfer_encoding", "Uses chunked framing for HTTP/1.1 responses of unknown length. off ends such a response by closing the connection.", "on", func(c *Core) *bool { return &c.ChunkedEncoding }),
		m.flag("recursive_error_pages", "Lets an error in the making of an error page lead to another error page.", "off", func(c *Core) *bool { return &c.RecursivePages }),
		m.flag("absolute_redirect", "Redirects that the server makes itself have the scheme and the host.", "on", func(c *Core) *bool { return &c.AbsoluteRedirect }),
		m.flag("server_name_in_redirect", "Absolute redirects have the first server_name instead of the request's host.", "off", func(c *Core) *bool { return &c.ServerNameInRedir }),
		m.flag("port_in_redirect", "Absolute redirects have the port, if it is not the scheme's default.", "on", func(c *Core) *bool { return &c.PortInRedirect }),
		m.flag("log_not_found", "Logs an error for files that are not found.", "on", func(c *Core) *bool { return &c.LogNotFound }),
		m.sendfileDirective(),
		{Name: "default_type", In: config.AnyLevel, Args: config.OneArg, Syntax: "TYPE", Default: "text/plain",
			Help: "The content type of files whose extension is not in types.",
			Set:  config.String(k, func(c *coreSettings) *string { return &c.DefaultType })},
		{Name: "types", In: config.AnyLevel, Block: true, Args: config.NoArgs, Repeat: true, Syntax: "{ TYPE EXTENSION ...; }", Set: m.setTypes,
			Default: "the built-in table, larger than nginx's mime.types",
			Help:    "Content types by file extension, whose case does not matter. A block's own types replace the inherited ones. At the top of a file without http { } they add to the built-in ones."},
	}
}

// accessDirectives are about which requests are let in.
func (m core) accessDirectives() []config.Directive {
	k := m.settings
	return []config.Directive{
		{Name: "satisfy", In: config.AnyLevel, Args: config.OneArg, Syntax: "all | any", Default: "all",
			Set:  config.Enum(k, []config.Choice[bool]{{Word: "all", Value: false}, {Word: "any", Value: true}}, func(c *coreSettings) *bool { return &c.SatisfyAny }),
			Help: "Whether a request must be let in by all of allow and deny, auth_basic and auth_request that its location has, or by one of them. They are asked in this order. With any, a request that none of them lets in is answered with 401 if one of them says 401, otherwise with 403."},
		m.duration("auth_delay", "How long the server waits before it answers a request with 401, so that passwords cannot be tried fast. Other requests do not wait.", "0s", func(c *Core) *time.Duration { return &c.AuthDelay }),
		{Name: "internal", In: config.Location, Args: config.NoArgs,
			Help: "The location is for internal requests only: after an internal redirect, such as that of error_page, index, try_files or X-Accel-Redirect, after rewrite, and subrequests, such as those of auth_request. A client's request for it is answered with 404.",
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
