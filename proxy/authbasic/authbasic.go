// Package authbasic is nginx's auth_basic module: a request is let in if it has the name and
// password of a user in a file (HTTP Basic, RFC 7617).
//
// A file is read again when it has changed. A check of most hashes takes long, on purpose:
// milliseconds, or seconds. Such checks run in the background, a few at once, and their
// requests wait without a goroutine. An entry keeps a keyed hash of the password that has
// passed, so that only a user's first request waits. A request with an unknown user takes as
// long as one with the user whose check takes longest.
//
//   - authbasic.go gate.go: the directives, and the check of a request
//   - file.go entry.go: files of users, and their hashes
//   - trials.go: checks that take long
package authbasic

import (
	"errors"
	"fmt"
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
				Help: "Lets requests in that have the name and the password of a user in auth_basic_user_file. Others are answered with 401. Clients show REALM, which may have variables, when they ask for the password. off lets all requests in. As in nginx, without auth_basic_user_file no password is needed. See satisfy."},
			{Name: "auth_basic_user_file", In: in, Args: config.OneArg, Syntax: "FILE", Set: setFile(k),
				Help: "The file with the users of auth_basic, of at most 4m. It has a line NAME:PASSWORD[:COMMENT] for each user; a line that begins with # is a comment. FILE may have variables. A relative FILE is in the configuration's folder. PASSWORD is a hash: bcrypt ($2a$, $2b$, $2y$), SHA-512 or SHA-256 crypt ($6$, $5$), MD5 crypt ($1$), Apache's MD5 ($apr1$), {SSHA} or {SHA}; or {PLAIN} and the password itself. \"htpasswd -B\" writes bcrypt. A user with another kind of hash, such as DES crypt or yescrypt, which nginx accepts if the system's crypt does, is not let in, and the error log says so. Nor is one whose hash takes more than some seconds to check: more than 12,000,000 rounds of SHA crypt, or a cost above 16 of bcrypt. Changes of the file take effect at once. If the file is missing requests are answered with 403, and if it cannot be read with 500. A few checks of hashes that take long run at once; if 128 requests wait for their check, or 16 of one client, further ones are answered with 503. A user whose password has passed does not wait again, unless the hash changes."},
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

// warnOfNoFile warns, once, of a realm without a file: no password is needed. It does not warn
// of a server with blocks in it, which may have files.
func (c *settings) warnOfNoFile(s *config.Scope, l *proxy.Location) {
	if l.Kind == proxy.LocationServer && len(s.Blocks) > 0 || c.shared.warned[c.realmPos] {
		return
	}
	c.shared.warned[c.realmPos] = true
	s.Load().Warn(c.realmPos, "auth_basic has no auth_basic_user_file in %q: as in nginx nobody is asked for a password", strings.TrimSpace(s.Node.Name+" "+l.Name))
}

// warnOfFile warns, once, of a file that cannot be read, and of passwords that cannot be
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
	case errors.Is(err, fs.ErrPermission): // the configuration may be read by another user than the server's
	case err != nil:
		s.Load().Warn(at.Pos, "cannot read %q: %s; until it can be read nobody gets in", name, osfile.Cause(err))
	case len(t.refused) > 0:
		s.Load().Warn(at.Pos, "no password opens these entries of %q, %s; \"htpasswd -B\" writes hashes that are checked", name, refusals(t.refused))
	}
}

// refusals lists lines by the reason why their passwords cannot be checked.
func refusals(all []refused) string {
	var reasons []string
	lines := map[string][]string{}
	for _, r := range all {
		if lines[r.why] == nil {
			reasons = append(reasons, r.why)
		}
		lines[r.why] = append(lines[r.why], r.line)
	}
	for i, why := range reasons {
		reasons[i] = fmt.Sprintf("line %s: the password %s", strings.Join(lines[why], ", "), why)
	}
	return strings.Join(reasons, "; ")
}

// challenge returns the value of WWW-Authenticate. It escapes quotes in realm, unless they are
// escaped already.
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
