package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// challenges are the answers to the challenges of present orders. They are also stored in the
// state: if two processes share a state, as during an upgrade, the authority may ask the one
// that has not ordered.
type challenges struct {
	mu     sync.Mutex
	tokens map[string]string           // HTTP-01: key authorizations by token
	certs  map[string]*tls.Certificate // TLS-ALPN-01: by name
	shared []certmagic.Storage         // where other processes store theirs; it does not shrink
}

func newChallenges() *challenges {
	return &challenges{tokens: map[string]string{}, certs: map[string]*tls.Certificate{}}
}

// maxToken is the longest token or name that is looked up: tokens have 43 characters, names
// at most 253 (RFC 1035).
const maxToken = 256

// share makes c look for challenges of other processes in s.
func (c *challenges) share(s certmagic.Storage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shared = append(c.shared, s)
}

// keyAuthorization returns the answer to HTTP-01 for token.
func (c *challenges) keyAuthorization(token string) (string, bool) {
	if !isToken(token) {
		return "", false
	}
	c.mu.Lock()
	answer, ok := c.tokens[token]
	c.mu.Unlock()
	if ok {
		return answer, true
	}
	ch, ok := c.elsewhere(HTTP01, token)
	return ch.KeyAuthorization, ok
}

// certificate returns the answer to TLS-ALPN-01 for name.
func (c *challenges) certificate(name string) (*tls.Certificate, error) {
	c.mu.Lock()
	cert := c.certs[name]
	c.mu.Unlock()
	if cert != nil {
		return cert, nil
	}
	if ch, ok := c.elsewhere(TLSALPN01, name); ok {
		return acmez.TLSALPN01ChallengeCert(ch)
	}
	return nil, fmt.Errorf("no challenge for %q is under way", name)
}

// elsewhere looks up a challenge of another process.
func (c *challenges) elsewhere(kind, what string) (ch acme.Challenge, ok bool) {
	if what == "" || len(what) > maxToken || strings.ContainsAny(what, "/\\\x00") || strings.HasPrefix(what, ".") {
		return ch, false
	}
	c.mu.Lock()
	shared := c.shared
	c.mu.Unlock()
	for _, s := range shared {
		content, err := s.Load(context.Background(), challengeKey(kind, what))
		if err == nil && json.Unmarshal(content, &ch) == nil && ch.KeyAuthorization != "" {
			return ch, true
		}
	}
	return ch, false
}

func challengeKey(kind, what string) string { return "challenges/" + kind + "/" + what + ".json" }

// isToken reports whether s has only characters of tokens (RFC 8555 section 8.3).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != "" && len(s) <= maxToken
}

// solver presents challenges of one type for one order.
type solver struct {
	in      *challenges
	storage certmagic.Storage
}

func (s solver) what(ch acme.Challenge) string {
	if ch.Type == HTTP01 {
		return ch.Token
	}
	return ch.Identifier.Value
}

// Present implements acmez.Solver.
func (s solver) Present(ctx context.Context, ch acme.Challenge) error {
	var cert *tls.Certificate
	if ch.Type == TLSALPN01 {
		var err error
		if cert, err = acmez.TLSALPN01ChallengeCert(ch); err != nil {
			return err
		}
	}
	s.in.mu.Lock()
	if cert != nil {
		s.in.certs[s.what(ch)] = cert
	} else {
		s.in.tokens[ch.Token] = ch.KeyAuthorization
	}
	s.in.mu.Unlock()
	content, err := json.Marshal(ch)
	if err != nil {
		return err
	}
	return s.storage.Store(ctx, challengeKey(ch.Type, s.what(ch)), content)
}

// CleanUp implements acmez.Solver. It also works when ctx has ended.
func (s solver) CleanUp(ctx context.Context, ch acme.Challenge) error {
	s.in.mu.Lock()
	if ch.Type == TLSALPN01 {
		delete(s.in.certs, s.what(ch))
	} else {
		delete(s.in.tokens, ch.Token)
	}
	s.in.mu.Unlock()
	return s.storage.Delete(context.WithoutCancel(ctx), challengeKey(ch.Type, s.what(ch)))
}

// hook answers DNS-01 by a command of the operator.
type hook struct{ command []string }

// hookTimeout is how long the command may take: the zones of some providers need minutes.
// partingTimeout is how long a cleanup may take after the context has ended: a stop of the
// server waits for it.
const (
	hookTimeout    = 10 * time.Minute
	partingTimeout = 5 * time.Second
)

// Present does nothing, since the command may take long; Wait runs it.
func (h hook) Present(context.Context, acme.Challenge) error { return nil }

// Wait implements acmez.Waiter. It returns when the record is there.
func (h hook) Wait(ctx context.Context, ch acme.Challenge) error {
	return h.run(ctx, hookTimeout, "present", ch)
}

// CleanUp removes the record. If ctx has ended, it has only partingTimeout.
func (h hook) CleanUp(ctx context.Context, ch acme.Challenge) error {
	timeout := hookTimeout
	if ctx.Err() != nil {
		timeout = partingTimeout
	}
	return h.run(context.WithoutCancel(ctx), timeout, "cleanup", ch)
}

func (h hook) run(ctx context.Context, timeout time.Duration, verb string, ch acme.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := append(append([]string(nil), h.command[1:]...), verb, ch.DNS01TXTRecordName()+".", ch.DNS01KeyAuthorization())
	cmd := exec.CommandContext(ctx, h.command[0], args...)
	cmd.WaitDelay = time.Second // a process that the command has started may keep its output open
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("the DNS hook %q failed (%w): %s", h.command[0], err, lastLine(out))
	}
	return nil
}

// lastLine returns the last line of a command's output, at most 200 bytes.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if len(last) > 200 {
		last = last[:200]
	}
	return last
}
