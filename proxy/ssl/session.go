package ssl

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/tls"
)

// sessionSettings are the settings for resuming sessions.
type sessionSettings struct {
	tickets bool
	keys    config.List[file]
	life    time.Duration
	cache   string // the name of the cache among Resources; "": none
	size    int64  // of the cache, in bytes
}

func (m module) sessionDirectives() []config.Directive {
	return []config.Directive{
		{Name: "ssl_session_tickets", In: levels, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(m.settings, func(c *settings) *bool { return &c.resume.tickets }),
			Help: "Lets clients resume sessions with tickets, which saves a signature for each connection. The keys of tickets change every day, and survive reloads. With off a session resumes only if ssl_session_cache keeps it."},
		{Name: "ssl_session_cache", In: levels, Args: config.Arity{Min: 1, Max: 2}, Syntax: "off | none | [builtin[:SIZE]] [shared:NAME:SIZE]", Default: "none",
			Set:  m.setSessionCache,
			Help: "Keeps sessions in the server if ssl_session_tickets is off; otherwise it has no effect. A cache of 1m, of at least 32k, holds about 4000 sessions. Servers with the same NAME and SIZE share a cache, and reloads keep it. Clients of TLS 1.3 can resume these sessions. Unlike in nginx, clients of TLS 1.2 do a full handshake, because Go's crypto/tls has no session identifiers."},
		{Name: "ssl_session_timeout", In: levels, Args: config.OneArg, Syntax: "TIME", Default: "1d",
			Set:  config.Duration(m.settings, func(c *settings) *time.Duration { return &c.resume.life }),
			Help: "How long after its beginning a session may resume, at most seven days. With 0 no session resumes. As in nginx, with TLS 1.3 each connection that resumes begins a new session. Go's tickets of TLS 1.3 promise seven days to clients, whatever this time is. nginx's default is five minutes."},
		{Name: "ssl_session_ticket_key", In: levels, Args: config.OneArg, Repeat: true, Syntax: "FILE",
			Set: func(s *config.Scope, n *config.Node) error {
				m.settings.In(s).resume.keys.Add(s, file{path: s.Load().ConfPath(n.Arg(0)), pos: n.Args[0].Pos})
				return nil
			},
			Help: "A file of 48 or 80 random bytes, from which the key of session tickets is made, so that several machines resume each other's sessions. If there are several files, the first one's key encrypts tickets, and all keys decrypt them: to change keys, put the new file first and reload. Without a reload the keys do not change. nginx cannot use these tickets, nor this server nginx's."},
	}
}

func (m module) setSessionCache(s *config.Scope, n *config.Node) error {
	c := &m.settings.In(s).resume
	c.cache = ""
	for _, a := range n.Args {
		if err := c.readCache(a.Text); err != nil {
			return &config.Error{Pos: a.Pos, Msg: "ssl_session_cache: " + err.Error()}
		}
	}
	return nil
}

// builtinSessions is nginx's default number of sessions for builtin without a size.
const builtinSessions = 20480

func (c *sessionSettings) readCache(text string) error {
	kind, rest, sized := strings.Cut(text, ":")
	switch kind {
	case "off", "none":
		return nil
	case "builtin":
		n := builtinSessions
		if sized {
			var err error
			if n, err = config.ParseInt(rest, 1, 1<<31-1); err != nil {
				return err
			}
		}
		if c.cache == "" {
			c.cache, c.size = "builtin", int64(n)*256
		}
		return nil
	case "shared":
		name, size, ok := strings.Cut(rest, ":")
		if !ok || name == "" {
			return fmt.Errorf("%q needs a name and a size, as in shared:SSL:10m", text)
		}
		n, err := config.ParseSize(size)
		if err != nil {
			return err
		}
		if n < 32<<10 {
			return fmt.Errorf("%q is too small; the size must be at least 32k", text)
		}
		c.cache, c.size = rest, n
		return nil
	}
	return fmt.Errorf("%q is not one of off, none, builtin[:SIZE], shared:NAME:SIZE", text)
}

// apply sets the fields of o for one server's sessions.
func (c *sessionSettings) apply(o *tls.Options, ld *loader) error {
	o.SessionLife = c.life
	if c.tickets {
		o.Tickets = ld.tickets
		if keys := c.keys.Items(); len(keys) > 0 {
			o.Tickets = ld.fixedTickets(keys)
		}
		return nil
	}
	if c.cache == "" {
		return nil
	}
	var err error
	o.Sessions, err = config.Hold(ld.load.Resources, "ssl session cache "+c.cache, func() (*tls.Sessions, error) {
		return tls.NewSessions(c.size), nil
	})
	return err
}

// sharedTickets returns the tickets of the whole process.
func sharedTickets(r *config.Resources) (*tls.Tickets, error) {
	return config.Hold(r, "ssl session tickets", func() (*tls.Tickets, error) { return tls.NewTickets(time.Now), nil })
}

// fixedTickets reads key files. If one cannot be used it records a mistake, without the
// file's content, and returns nil.
func (ld *loader) fixedTickets(files []file) *tls.Tickets {
	var keys [][32]byte
	for _, f := range files {
		content, err := ld.load.Resources.Host.ReadFile(f.path)
		if err == nil && len(content) != 48 && len(content) != 80 {
			err = fmt.Errorf("session ticket key %q has %d bytes, not 48 or 80", f.path, len(content))
		}
		if err != nil {
			ld.load.FailWith(f.pos, err)
			return nil
		}
		keys = append(keys, sha256.Sum256(append([]byte("alicorn session tickets\x00"), content...)))
	}
	return tls.NewFixedTickets(time.Now, keys)
}
