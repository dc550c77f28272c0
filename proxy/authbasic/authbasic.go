// Package authbasic is nginx's auth_basic module: a request is let in by a user's name
// and password (HTTP Basic, RFC 7617), which a file has.
//
// A file is read again when it has changed. Most passwords are hashed so that a check
// takes long, on purpose: milliseconds, or seconds. Such checks run in the background,
// a few at once, and their requests wait without a goroutine. An entry remembers the
// password that has passed, as a keyed hash, so that only the first request of a user
// waits. A user that the file does not have costs as much as the one whose check takes
// longest.
//
//   - authbasic.go gate.go: the directives, and what they do with a request
//   - file.go entry.go: files of users, and their hashes
//   - trials.go: checks that take long
package authbasic

import (
	"errors"
	"io/fs"
	"strings"

	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/proxy"
)

type settings struct {
	realm    *proxy.Template // nil: off
	realmPos config.Pos
	file     *proxy.Template // nil: none
	shared   *shared
}

// shared is what the locations of a configuration share.
type shared struct {
	files  files
	trials trials
	warned map[config.Pos]bool
}

// Module returns the feature.
func Module() proxy.Module {
	k := config.NewKey(func() settings { return settings{shared: newShared()} })
	in := config.AnyLevel | config.LimitExcept
	return proxy.Module{
		Name:     "auth_basic",
		Settings: k,
		Directives: []config.Directive{
			{Name: "auth_basic", In: in, Args: config.OneArg, Syntax: "REALM | off", Default: "off", Set: setRealm(k),
				Help: "Lets requests in that have a name and a password of auth_basic_user_file; others are answered 401. Clients show REALM, which may have variables, where they ask for the password. The value off lets all in. As in nginx nobody is asked without auth_basic_user_file. See satisfy."},
			{Name: "auth_basic_user_file", In: in, Args: config.OneArg, Syntax: "FILE", Set: setFile(k),
				Help: "The file with the users of auth_basic, of at most 4m, with a line NAME:PASSWORD[:COMMENT] for each; a line that begins with # is a comment. The name may have variables, and is relative to the configuration's folder. The password is hashed as bcrypt ($2a$, $2b$, $2y$), SHA-512 or SHA-256 crypt ($6$, $5$), MD5 crypt ($1$), Apache's MD5 ($apr1$), {SSHA}, {SHA}, or is there as it is after {PLAIN}; \"htpasswd -B\" writes bcrypt. Nobody gets in by another kind, such as DES crypt or yescrypt, which nginx knows where the system's crypt does; the error log says so. A changed file counts at once. A file that is not there is answered 403, one that cannot be read 500. Checks of hashes that take long run a few at a time; when 128 requests wait for theirs, or 16 of one client, others are answered 503. A user whose password has passed does not wait again, until the file changes."},
		},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			c := k.In(s)
			switch {
			case c.realm == nil:
			case c.file == nil:
				c.warnOfNoFile(s, l)
			default:
				c.warnOfFile(s)
				g := &gate{realm: c.realm, file: c.file, load: s.Load(), shared: c.shared}
				l.On(proxy.Access, g.check)
			}
			return nil
		},
		Generation: func(s *config.Scope, g *proxy.Generation) error {
			g.OnStop(k.In(s).shared.trials.stop)
			return nil
		},
	}
}

func newShared() *shared { return &shared{warned: map[config.Pos]bool{}} }

func setRealm(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := k.In(s)
		c.realm, c.realmPos = nil, n.Args[0].Pos
		if n.Arg(0) != "off" {
			c.realm = proxy.ParseTemplate(s.Load(), c.realmPos, n.Arg(0))
		}
		return nil
	}
}

func setFile(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		pos := n.Args[0].Pos
		if n.Arg(0) == "" {
			return &config.Error{Pos: pos, Msg: "auth_basic_user_file needs the name of a file"}
		}
		k.In(s).file = proxy.ParseTemplate(s.Load(), pos, n.Arg(0))
		return nil
	}
}

// warnOfNoFile warns, once, of a realm that nobody needs a password for. A server whose
// locations have a file of their own is not meant.
func (c *settings) warnOfNoFile(s *config.Scope, l *proxy.Location) {
	if l.Kind == proxy.LocationServer && len(s.Blocks) > 0 || c.shared.warned[c.realmPos] {
		return
	}
	c.shared.warned[c.realmPos] = true
	s.Load().Warn(c.realmPos, "auth_basic has no auth_basic_user_file in %q: as in nginx nobody is asked for a password", strings.TrimSpace(s.Node.Name+" "+l.Name))
}

// warnOfFile warns, once, of a file that is not there and of passwords that cannot be
// checked.
func (c *settings) warnOfFile(s *config.Scope) {
	name, fixed := c.file.Static()
	at := s.Nearest("auth_basic_user_file")
	if !fixed || at == nil || c.shared.warned[at.Pos] {
		return
	}
	c.shared.warned[at.Pos] = true
	path := s.Load().ConfPath(name)
	s.Load().Reads(at.Pos, path)
	t, err := readTable(path)
	switch {
	case errors.Is(err, fs.ErrPermission): // who checks may be another user than the server
	case err != nil:
		s.Load().Warn(at.Pos, "cannot read %q: %s; until it can be read nobody gets in", name, osfile.Cause(err))
	case len(t.unknown) > 0:
		s.Load().Warn(at.Pos, "no password opens the entry of line %s in %q: its hash is of a kind that is not known here, such as DES crypt or yescrypt; \"htpasswd -B\" writes one that is", strings.Join(t.unknown, ", "), name)
	}
}

// challenge returns the value of WWW-Authenticate. Quotes in realm are escaped, unless
// they are already.
func challenge(realm string) string {
	if !strings.ContainsAny(realm, "\"\\") && strings.IndexFunc(realm, isControl) < 0 {
		return `Basic realm="` + realm + `"`
	}
	b := []byte(`Basic realm="`)
	for i := 0; i < len(realm); i++ {
		switch ch := realm[i]; {
		case isControl(rune(ch)):
			b = append(b, ' ')
		case ch == '\\' && i+1 < len(realm) && (realm[i+1] == '"' || realm[i+1] == '\\'):
			i++
			b = append(b, ch, realm[i])
		case ch == '"' || ch == '\\':
			b = append(b, '\\', ch)
		default:
			b = append(b, ch)
		}
	}
	return string(append(b, '"'))
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
