package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"alicorn/tls/acmetest"
)

// outages are ways in which an authority is of no use for a time, and what the
// log says of each.
var outages = []struct {
	name       string
	begin, end func(*acmetest.CA)
	says       string
}{
	{"refuses connections", (*acmetest.CA).Pause, (*acmetest.CA).Resume, "connection refused"},
	{"answers 503", func(c *acmetest.CA) { c.Break(acmetest.Unavailable()) }, (*acmetest.CA).Mend, "503"},
	{"answers garbage", func(c *acmetest.CA) { c.Break(acmetest.Garbage()) }, (*acmetest.CA).Mend, "pebble: it answers with something other than ACME"},
	{"limits requests", func(c *acmetest.CA) { c.Break(acmetest.RateLimited(2 * time.Second)) }, (*acmetest.CA).Mend, "too many certificates"},
}

// While its authority is out of use a server serves what it can, tells which
// name, which authority, why and when next, and gets its certificate once the
// authority is back, with no other command.
func TestAnOutageOfTheAuthorityIsWaitedOut(t *testing.T) {
	t.Parallel()
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			h := newHTTPSHost(t, acmetest.Options{})
			o.begin(h.ca)
			h.run(shop)
			h.awaitLog("cannot obtain a certificate for shop.example.com: pebble: ")
			for _, want := range []string{o.says, "next try at "} {
				if !strings.Contains(h.log(), want) {
					t.Errorf("the log does not say %q", want)
				}
			}
			if out, err := h.try("cert"); err == nil || !strings.Contains(out, "shop.example.com") || !strings.Contains(out, "pebble") || !strings.Contains(out, o.says) {
				t.Errorf("alicorn cert ends with %v and says (want an error with \"shop.example.com\", \"pebble\" and %q in it):\n%s", err, o.says, out)
			}
			if out := h.verb("status"); !strings.Contains(out, "certificate of shop.example.com fails: ") || !strings.Contains(out, o.says) {
				t.Errorf("alicorn status says (want \"certificate of shop.example.com fails: \" and %q in it):\n%s", o.says, out)
			}
			if status, text, _, err := h.get("http://shop.example.com/"); status != 200 || text != "served" {
				t.Errorf(`port 80 answers %d %q %v; want 200 and "served"`, status, text, err)
			}
			o.end(h.ca)
			h.awaitTrusted("shop.example.com")
		})
	}
}

// refusals are answers for one name only.
var refusals = []struct {
	name  string
	fault acmetest.Fault
	says  string
}{
	{"rejected", acmetest.Rejected(), "the server will not issue certificates for the identifier"},
	{"limited", acmetest.RateLimited(time.Hour), "too many certificates already issued"},
	{"unavailable", acmetest.Unavailable(), "503"},
	{"garbage", acmetest.Garbage(), "pebble: it answers with something other than ACME"},
}

// What an authority has against one name costs no other one anything, even
// when it has said so before the other one is ordered.
func TestARefusedNameCostsNoOtherName(t *testing.T) {
	t.Parallel()
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			h := newHTTPSHost(t, acmetest.Options{})
			h.ca.Resolve("bad.example.com", h.addr)
			h.ca.Refuse("bad.example.com", r.fault)
			bad := `server { listen ADDR:443 ssl; server_name bad.example.com; return 200 "served"; }` + "\n"
			h.run(bad)
			h.awaitLog("cannot obtain a certificate for bad.example.com: pebble: ")
			if !strings.Contains(h.log(), r.says) {
				t.Errorf("the log does not say %q", r.says)
			}
			h.configure(bad + shop)
			h.verb("reload")
			h.awaitTrusted("shop.example.com")
		})
	}
}

// An order outlives the configuration that began it: it is neither lost nor
// made again, and what the new configuration adds is ordered beside it.
func TestAReloadKeepsTheOrderUnderWay(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		h := newHTTPSHost(t, acmetest.Options{})
		h.ca.Resolve("new.example.com", h.addr)
		h.ca.Hold()
		h.run(master + shop)
		h.await(func() bool { return h.ca.Held() == 1 }, "no order is finalised")
		h.configure(master + shop + `server { listen ADDR:443 ssl; server_name new.example.com; return 200 "served"; }`)
		h.verb("reload")
		h.await(func() bool { return h.ca.Held() == 2 }, "the new name is not ordered")
		h.ca.Release()
		h.awaitTrusted("shop.example.com")
		h.awaitTrusted("new.example.com")
		for _, name := range []string{"shop.example.com", "new.example.com"} {
			if o, n := h.ca.Orders(name), h.ca.Certificates(name); o != 1 || n != 1 {
				t.Errorf("%s: %d orders, %d certificates, want one each", name, o, n)
			}
		}
	}
}

// An upgrade amid an order leaves it to the new program, which waits for
// nothing that the old one holds.
func TestAnUpgradeAmidAnOrderLeavesItToTheNewProgram(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		h := newHTTPSHost(t, acmetest.Options{})
		h.ca.Hold()
		h.run(master + "pid alicorn.pid;\n" + shop)
		t.Cleanup(func() { _, _ = h.try("stop") })
		h.await(func() bool { return h.ca.Held() == 1 }, "no order is finalised")
		h.verb("upgrade")
		if err := h.cmd.Wait(); err != nil {
			t.Errorf("the end of the old program: %v", err)
		}
		h.await(func() bool { return h.ca.Held() == 1 && h.ca.Orders("") == 2 }, "the new program does not order")
		h.ca.Release()
		h.awaitTrusted("shop.example.com")
		h.verb("stop")
	}
}

// Where several authorities are configured the next one is asked when one
// fails.
func TestTheNextAuthorityIsAsked(t *testing.T) {
	t.Parallel()
	h := newHTTPSHost(t, acmetest.Options{})
	h.ca.Break(acmetest.Unavailable())
	spare := acmetest.Start(t, acmetest.Options{HTTPPort: 80, TLSPort: 443})
	spare.Resolve("shop.example.com", h.addr)
	h.run("acme_issuer spare { uri " + spare.Directory() + "; ssl_trusted_certificate " + spare.RootFile() + "; accept_terms_of_service; }\n" + shop)
	h.ca = spare
	h.awaitTrusted("shop.example.com")
}

// A stop does not wait for an authority that does not answer.
func TestAStopEndsOrdersUnderWay(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		h := newHTTPSHost(t, acmetest.Options{})
		h.ca.Hold()
		h.run(master + shop)
		h.await(func() bool { return h.ca.Held() == 1 }, "no order is finalised")
		if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- h.cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the end: %v", err)
			}
		case <-time.After(patience):
			t.Error("the server waits for the authority")
			h.ca.Release()
			<-ended
		}
	}
}

// Two servers, as on both sides of a load balancer, share a state directory:
// each of fifty names is ordered once, whoever is asked for the proof, and both
// have all certificates.
func TestServersOfOneStateOrderEachCertificateOnce(t *testing.T) {
	t.Parallel()
	h := newHTTPSHost(t, acmetest.Options{BadNonces: 5})
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("shop%d.example.com", i))
		h.ca.Resolve(names[i], h.addr)
	}
	text := "server { listen ADDR:443 ssl; server_name " + strings.Join(names, " ") + `; return 200 "served"; }` + "\n"
	other := &httpsHost{t: t, dir: shortDir(t), addr: quietAddress(t), ca: h.ca}
	h.run(text)
	other.run(text, "STATE_DIRECTORY="+h.dir+"/state")
	for _, name := range names {
		h.awaitTrusted(name)
		other.awaitTrusted(name)
		if n := h.ca.Certificates(name); n != 1 {
			t.Errorf("%d certificates for %s; want 1", n, name)
		}
	}
}
