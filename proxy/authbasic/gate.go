package authbasic

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"

	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/proxy"
)

// gate is the auth_basic of one location.
type gate struct {
	realm  *proxy.Template
	file   *proxy.Template
	load   *config.Load // for relative paths
	shared *shared
}

// attempt is a request with a password, and the Continuation during the check.
type attempt struct {
	trial
	gate  *gate
	realm string
	path  string
	user  string
	found *entry // the user's entry; nil: the file has none
}

// check is the action of the Access phase.
func (g *gate) check(x *proxy.Exchange) error {
	realm := g.realm.String(x)
	if realm == "off" {
		return nil
	}
	user, password, ok := x.BasicCredentials()
	if !ok {
		x.Log(proxy.LevelInfo, "no user/password was provided for basic authentication")
		return unauthorized(realm)
	}
	path := g.load.ConfPath(cmp.Or(g.file.String(x), "."))
	t, err := g.shared.files.of(path)
	if err != nil {
		return unreadable(x, path, err)
	}
	a := &attempt{gate: g, realm: realm, path: path, user: user, found: t.users[user]}
	a.password, a.entry = password, a.found
	if a.found == nil || a.found.scheme == nil {
		a.entry, a.vain = t.dearest, true
	}
	return a.begin(x)
}

// begin checks the password at once if that is quick; otherwise it suspends x.
func (a *attempt) begin(x *proxy.Exchange) error {
	switch e := a.entry; {
	case e == nil:
		return a.conclude(x)
	case e.cost == 0:
		a.check()
		return a.conclude(x)
	case !a.vain && e.proved(a.password):
		return proxy.Granted
	}
	a.client, a.waker = clientOf(x), x.Waker()
	if !a.gate.shared.trials.begin(&a.trial) {
		return &proxy.Fail{Status: 503, Level: proxy.LevelError, RetryAfter: 1, Reason: fmt.Sprintf("cannot check a password: %d requests of all clients, or %d of this one, wait for theirs to be checked", maxWaiting, maxOfOne)}
	}
	return x.Suspend(a)
}

// clientOf returns the address of the client; of an IPv6 address the first half, which one
// client usually has as a whole. It returns "" for a unix socket and for this machine: a proxy
// there may pass on the requests of many clients.
func clientOf(x *proxy.Exchange) string {
	addr, ok := x.RemoteIP()
	if addr = addr.Unmap(); !ok || addr.IsLoopback() {
		return ""
	}
	b := addr.AsSlice()
	return string(b[:min(len(b), 8)])
}

// Continue implements proxy.Continuation. It waits for the check even if the client has left.
func (a *attempt) Continue(x *proxy.Exchange) error {
	if !a.done.Load() {
		return x.Suspend(a)
	}
	return a.conclude(x)
}

// conclude returns the result, and logs a refusal.
func (a *attempt) conclude(x *proxy.Exchange) error {
	switch {
	case a.passed:
		return proxy.Granted
	case a.found == nil:
		x.Log(proxy.LevelError, "user %q was not found in %q", a.user, a.path)
	case a.found.scheme == nil:
		x.Log(proxy.LevelError, "user %q: the password in %q %s", a.user, a.path, a.found.refusal)
	default:
		x.Log(proxy.LevelError, "user %q: password mismatch", a.user)
	}
	return unauthorized(a.realm)
}

func unauthorized(realm string) error {
	return &proxy.Fail{Status: 401, Level: proxy.LevelInfo, Field: proxy.Field{Name: "WWW-Authenticate", Value: challenge(realm)}}
}

// unreadable returns the answer if the file of users cannot be read: as in nginx, 403 if it is
// missing, otherwise 500.
func unreadable(x *proxy.Exchange, path string, err error) error {
	status, level := proxy.Status(500), proxy.LevelCrit
	if errors.Is(err, syscall.ENOENT) {
		status, level = 403, proxy.LevelError
	}
	x.Log(level, "open() %q failed (%s)%s", path, proxy.SystemText(err), osfile.Refusal(path, osfile.ToRead))
	return status
}
