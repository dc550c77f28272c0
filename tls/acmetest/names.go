package acmetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// DNS returns the address, HOST:PORT for both UDP and TCP, of the name server that
// the authority asks. Each name has the address 127.0.0.1, unless Resolve or Fail has
// changed that.
func (c *CA) DNS() string { return c.dns }

// Resolve gives name exactly these addresses.
func (c *CA) Resolve(name string, addrs ...string) {
	c.t.Helper()
	if err := c.resolve(name, addrs); err != nil {
		c.t.Fatalf("cannot resolve %q to %v: %v", name, addrs, err)
	}
}

func (c *CA) resolve(name string, addrs []string) error {
	// If a name has no address of a family, the server answers with the default. An
	// address that it cannot parse makes it answer with none.
	v4, v6 := []string{"none"}, []string{"none"}
	for _, a := range addrs {
		ip, err := netip.ParseAddr(a)
		switch {
		case err != nil:
			return err
		case ip.Is4():
			v4 = append(v4, a)
		default:
			v6 = append(v6, a)
		}
	}
	host := map[string]string{"host": name}
	steps := []struct {
		path string
		body any
	}{
		{"clear-servfail", host}, {"clear-a", host}, {"clear-aaaa", host},
		{"add-a", map[string]any{"host": name, "addresses": v4}},
		{"add-aaaa", map[string]any{"host": name, "addresses": v6}},
	}
	for _, s := range steps {
		if err := c.post(c.controlURL(s.path), s.body); err != nil {
			return err
		}
	}
	return nil
}

// Fail makes the name server answer SERVFAIL to all questions about name, until
// Resolve.
func (c *CA) Fail(name string) {
	c.t.Helper()
	if err := c.post(c.controlURL("set-servfail"), map[string]string{"host": name}); err != nil {
		c.t.Fatalf("cannot fail %q: %v", name, err)
	}
}

func (c *CA) controlURL(path string) string { return "http://" + c.control + "/" + path }

// hook is the script of DNSHook. The caller reports curl's messages.
const hook = `#!/bin/sh
# %[1]s present|cleanup NAME VALUE
set -eu
name=${2%%.}.
case $1 in
present) path=set-txt; body="{\"host\":\"$name\",\"value\":\"$3\"}" ;;
cleanup) path=clear-txt; body="{\"host\":\"$name\"}" ;;
*) echo "usage: $0 present|cleanup NAME VALUE" >&2; exit 2 ;;
esac
curl -sS --fail --max-time 10 -d "$body" "http://%[2]s/$path" >/dev/null
`

// DNSHook returns a script for DNS-01 challenges. "SCRIPT present NAME VALUE"
// adds a TXT record and "SCRIPT cleanup NAME VALUE" removes those of NAME,
// which is the record's full name, with or without the dot at its end. It needs
// curl, and any user may run it.
func (c *CA) DNSHook() string {
	c.t.Helper()
	file := filepath.Join(c.dir, "dns-hook")
	if err := os.WriteFile(file, fmt.Appendf(nil, hook, filepath.Base(file), c.control), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chmod(file, 0o755); err != nil { // the umask may have removed rights
		c.t.Fatal(err)
	}
	return file
}

// TXT returns the TXT records that name has now.
func (c *CA) TXT(name string) []string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	records, err := c.resolver("tcp").LookupTXT(ctx, strings.TrimSuffix(name, ".")+".")
	var none *net.DNSError
	if errors.As(err, &none) && (none.IsNotFound || none.Err == "lame referral") {
		return nil // an answer without records is neither recursive nor authoritative: net calls that a lame referral
	}
	if err != nil {
		c.t.Fatalf("cannot look up %q: %v", name, err)
	}
	return records
}

// resolver asks the name server by network.
func (c *CA) resolver(network string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, c.dns)
	}}
}

// namesAnswer returns nil if the name server answers over UDP and TCP, and is the one
// that this CA controls.
func (c *CA) namesAnswer() error {
	name := fmt.Sprintf("ready-%d.test", time.Now().UnixNano())
	if err := c.resolve(name, []string{"127.0.0.9"}); err != nil {
		return err
	}
	for _, network := range []string{"udp", "tcp"} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		addrs, err := c.resolver(network).LookupHost(ctx, name+".")
		cancel()
		if err != nil {
			return err
		}
		if !slices.Equal(addrs, []string{"127.0.0.9"}) {
			return fmt.Errorf("by %s %s is %v", network, name, addrs)
		}
	}
	return nil
}
