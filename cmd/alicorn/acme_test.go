package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/tls/acmetest"
)

// httpsHost is a machine that a certificate authority of the test's own finds
// under every name: one loopback address whose ports 80 and 443 are free.
type httpsHost struct {
	t    *testing.T
	dir  string
	addr string
	ca   *acmetest.CA
	cmd  *exec.Cmd
}

// shop is a server with automatic HTTPS and nothing else.
const shop = `server { listen ADDR:443 ssl; server_name shop.example.com; return 200 "served"; }` + "\n"

// newHTTPSHost starts the authority.
func newHTTPSHost(t *testing.T, o acmetest.Options) *httpsHost {
	t.Helper()
	h := &httpsHost{t: t, dir: shortDir(t), addr: quietAddress(t)}
	o.HTTPPort, o.TLSPort = 80, 443
	h.ca = acmetest.Start(t, o)
	h.ca.Resolve("shop.example.com", h.addr)
	return h
}

// shortDir is a folder that every user may enter, whose path leaves room for
// that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "https")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// quietAddress is a loopback address on which nothing listens at port 80 nor
// 443.
func quietAddress(t testing.TB) string {
	t.Helper()
	var errs []error
	for range 20 {
		addr := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		free := true
		for _, port := range []string{"80", "443"} {
			l, err := net.Listen("tcp4", net.JoinHostPort(addr, port))
			if err != nil {
				errs, free = append(errs, err), false
				continue
			}
			l.Close()
		}
		if free {
			return addr
		}
	}
	t.Fatalf("no address has ports 80 and 443 free: %v", errors.Join(errs...))
	return ""
}

// configure writes the configuration: text behind an acme_issuer for the
// authority. ADDR in it is the host's address.
func (h *httpsHost) configure(text string) {
	h.t.Helper()
	head := "error_log error.log notice;\nresolver " + h.ca.DNS() + ";\n" +
		"acme_issuer pebble { uri " + h.ca.Directory() + "; ssl_trusted_certificate " + h.ca.RootFile() + "; accept_terms_of_service; }\n"
	write(h.t, h.dir, "alicorn.conf", head+strings.ReplaceAll(text, "ADDR", h.addr))
}

// run starts "alicorn run" with that configuration.
func (h *httpsHost) run(text string, variables ...string) {
	h.t.Helper()
	h.configure(text)
	h.cmd = startCommand(h.t, h.dir, nil, []string{ownProgram(h.t), "run", "-c", "alicorn.conf"}, variables...)
	h.t.Cleanup(func() {
		if h.t.Failed() {
			h.t.Logf("error.log:\n%s", h.log())
		}
	})
}

// verb runs a verb of the program to its end.
func (h *httpsHost) verb(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		h.t.Fatalf("alicorn %v: %v: %s", args, err, out)
	}
	return out
}

func (h *httpsHost) try(args ...string) (string, error) {
	cmd := exec.Command(ownProgram(h.t), append(args, "-c", "alicorn.conf")...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "RUNTIME_DIRECTORY="+h.dir+"/run", "STATE_DIRECTORY="+h.dir+"/state")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (h *httpsHost) log() string {
	text, _ := os.ReadFile(filepath.Join(h.dir, "error.log"))
	return string(text)
}

// await polls, with a patience that covers two renewals and one more try after a failure.
func (h *httpsHost) await(done func() bool, failure string, args ...any) {
	h.t.Helper()
	for deadline := time.Now().Add(2 * patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf(failure, args...)
		}
	}
}

func (h *httpsHost) awaitLog(text string) {
	h.t.Helper()
	h.await(func() bool { return strings.Contains(h.log(), text) }, "the log does not say %q", text)
}

// client connects to the host whatever the name, trusts the authority, and
// follows no redirect.
func (h *httpsHost) client() *http.Client {
	return &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: h.ca.Roots()},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				var d net.Dialer
				return d.DialContext(ctx, network, net.JoinHostPort(h.addr, port))
			},
		},
	}
}

// get returns the status, the body and the server's certificate.
func (h *httpsHost) get(url string) (status int, text string, leaf *x509.Certificate, err error) {
	res, err := h.client().Get(url)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if res.TLS != nil {
		leaf = res.TLS.PeerCertificates[0]
	}
	if location := res.Header.Get("Location"); location != "" {
		return res.StatusCode, location, leaf, err
	}
	return res.StatusCode, string(body), leaf, err
}

// awaitTrusted waits until name is served with a certificate that a browser
// accepts, and returns that.
func (h *httpsHost) awaitTrusted(name string) (leaf *x509.Certificate) {
	h.t.Helper()
	h.await(func() bool {
		_, text, shown, err := h.get("https://" + name + "/")
		leaf = shown
		return err == nil && text == "served"
	}, "%s is not served with a certificate", name)
	return leaf
}

// Every way to prove a name works from an empty state directory with nothing
// but "alicorn run": port 80 serves the site until there is a certificate and
// redirects from then on, and only the listeners of the configuration answer.
func TestHTTPSComesByItself(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		for _, master := range masters {
			t.Run(kind+" "+strings.Trim(master, ";\n"), func(t *testing.T) {
				t.Parallel()
				h := newHTTPSHost(t, acmetest.Options{Challenges: []string{kind}, BadNonces: 5})
				h.ca.Hold()
				h.run(master + shop)
				h.await(func() bool { return h.ca.Held() == 1 }, "no order is finalised")
				if status, text, _, err := h.get("http://shop.example.com/a"); status != 200 || text != "served" {
					t.Errorf(`without a certificate port 80 answers %d %q %v; want 200 and "served"`, status, text, err)
				}
				if got, want := listening(t, h.cmd.Process.Pid), []string{h.addr + ":443", h.addr + ":80"}; !slices.Equal(got, want) {
					t.Errorf("during the order %v listen, want %v", got, want)
				}
				h.ca.Release()
				h.awaitTrusted("shop.example.com")
				if status, to, _, err := h.get("http://shop.example.com/a?b"); status != 301 || to != "https://shop.example.com/a?b" {
					t.Errorf(`with a certificate port 80 answers %d %q %v; want 301 and "https://shop.example.com/a?b"`, status, to, err)
				}
				if n := h.ca.Orders(""); n != 1 {
					t.Errorf("%d orders, want 1", n)
				}
				h.secretsAreKept()
			})
		}
	}
}

// secretsAreKept checks that each private key is its owner's alone, and that
// no log holds one.
func (h *httpsHost) secretsAreKept() {
	h.t.Helper()
	stderr, _ := os.ReadFile(filepath.Join(h.dir, "stderr"))
	logs := h.log() + string(stderr)
	keys := 0
	err := filepath.WalkDir(filepath.Join(h.dir, "state"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "PRIVATE KEY") {
			return err
		}
		keys++
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			h.t.Errorf("%s: mode %v, %v; want 0o600", path, info.Mode(), err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(logs, strings.TrimSpace(line)) {
				h.t.Errorf("a log holds a line of %s", path)
			}
		}
		return nil
	})
	if err != nil || keys < 2 {
		h.t.Errorf("the state has %d keys, want the account's and the certificate's; %v", keys, err)
	}
}

// No certificate is ordered for names that no authority certifies, and such
// a server says at the start what it lacks.
func TestNoAuthorityIsAskedForPrivateNames(t *testing.T) {
	t.Parallel()
	h := newHTTPSHost(t, acmetest.Options{})
	h.run(`server { listen ADDR:443 ssl; server_name shop.example.com _ localhost 127.0.0.1 ::1 intranet printer.local shop.test db.internal ~^www\d; return 200 "served"; }`)
	h.awaitTrusted("shop.example.com")
	if n := h.ca.Orders(""); n != 1 {
		t.Errorf("%d orders, want that for shop.example.com alone", n)
	}
	for _, name := range []string{"_", "localhost", "127.0.0.1", "intranet", "shop.test"} {
		h.configure("server { listen ADDR:443 ssl; server_name " + name + "; }")
		if out, err := h.try("check"); err == nil || !strings.Contains(out, "alicorn.conf:4:1: ") || !strings.Contains(out, "ssl_certificate") {
			t.Errorf(`%s: %v: %s; want an error with "alicorn.conf:4:1: " and "ssl_certificate" in it`, name, err, out)
		}
	}
}

// A name that leads to another host reaches no authority: the log has both
// addresses and the time of the next try. A host without a public address cannot
// know where a name leads, and asks.
func TestANameThatLeadsElsewhereIsNotOrdered(t *testing.T) {
	t.Parallel()
	h := newHTTPSHost(t, acmetest.Options{})
	h.ca.Resolve("far.example.com", "255.255.255.255")
	h.ca.Fail("lost.example.com")
	h.run(`server { listen ADDR:443 ssl; server_name shop.example.com far.example.com lost.example.com; return 200 "served"; }`)
	h.awaitTrusted("shop.example.com")
	h.awaitLog("lost.example.com does not resolve")
	h.awaitLog("cannot obtain a certificate for far.example.com: ")
	if n := h.ca.Orders("lost.example.com"); n != 0 {
		t.Errorf("%d orders for a name that does not resolve, want 0", n)
	}
	if n, public := h.ca.Orders("far.example.com"), hasPublicIPv4(t); (n == 0) != public {
		t.Errorf("%d orders for a name that leads elsewhere; this host has a public address: %v", n, public)
	}
}

func hasPublicIPv4(t *testing.T) bool {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() && !n.IP.IsPrivate() && !carrier.Contains(n.IP)
	})
}

// carrier is the space of carrier-grade translation.
var carrier = net.IPNet{IP: net.IPv4(100, 64, 0, 0), Mask: net.CIDRMask(10, 32)}

// A wildcard is proved by acme_dns_hook.
func TestAWildcardComesByTheHook(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		h := newHTTPSHost(t, acmetest.Options{})
		h.run(master + `server { listen ADDR:443 ssl; server_name *.example.com; acme_dns_hook ` + h.ca.DNSHook() + `; return 200 "served"; }`)
		leaf := h.awaitTrusted("anything.example.com")
		if !slices.Equal(leaf.DNSNames, []string{"*.example.com"}) {
			t.Errorf("the certificate is for %v, want %v", leaf.DNSNames, []string{"*.example.com"})
		}
		h.await(func() bool { return len(h.ca.TXT("_acme-challenge.example.com")) == 0 }, "the record is not cleaned up")
	}
}
