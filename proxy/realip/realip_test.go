package realip_test

import (
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/header"
	"alicorn/proxy/limit"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/realip"
)

func TestPeersAreTrustedByAddressRangeNameOrAsUnixSockets(t *testing.T) {
	for _, c := range []struct {
		from, remote string
		trusted      bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "unix:", false},
		{"192.0.2.0/24", "192.0.2.255", true},
		{"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.77/24", "192.0.2.1", true},
		{"0.0.0.0/0", "198.51.100.1", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"0.0.0.0/0", "unix:", false},
		{"2001:db8::/32", "2001:db8:1::1", true},
		{"2001:db8::/32", "2001:db9::1", false},
		{"::1", "::1", true},
		{"::ffff:192.0.2.0/120", "192.0.2.9", true},
		{"::ffff:192.0.2.9", "192.0.2.9", true},
		{"unix:", "unix:", true},
		{"unix:", "127.0.0.1", false},
		{"localhost", "127.0.0.1", true},
		{"localhost", "127.0.0.2", false},
	} {
		s := start(t, "set_real_ip_from "+c.from+"; server { listen 80; "+shown+" location / { } }")
		r := s.Do(proxytest.Request{Remote: c.remote, Fields: []string{"X-Real-IP: 203.0.113.9"}})
		if got := strings.HasPrefix(r.Header.Get("X-Seen"), "203.0.113.9 "); got != c.trusted {
			t.Errorf("from %s, peer %s: trusted %t, want %t (%s)", c.from, c.remote, got, c.trusted, r.Header.Get("X-Seen"))
		}
	}
}

func TestABlocksOwnProxiesReplaceThoseItInherits(t *testing.T) {
	s := start(t, `set_real_ip_from 127.0.0.1; real_ip_header X-Client;
		server { listen 80; `+shown+` location / { } }
		server { listen 80; server_name own; set_real_ip_from 192.0.2.1; `+shown+` location / { } }
		server { listen 80; server_name field; real_ip_header X-Other; `+shown+` location / { } }`)
	for host, want := range map[string]string{"inherits": "203.0.113.1  127.0.0.1", "own": "127.0.0.1 50000 127.0.0.1", "field": "203.0.113.2  127.0.0.1"} {
		r := s.Do(proxytest.Request{Host: host, Fields: []string{"X-Client: 203.0.113.1", "X-Other: 203.0.113.2"}})
		if got := r.Header.Get("X-Seen"); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

// The requests of one kept connection have different clients.
func TestLimitsAndLogsGoByTheClientsAddress(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Modules: []proxy.Module{realip.Module(), limit.Module()},
		Text: `limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m; set_real_ip_from 127.0.0.1;
		server { listen 80; location / { limit_req zone=one; } }
		server { listen 80; server_name late; location / { set_real_ip_from 127.0.0.1; limit_req zone=one; } }`})
	for _, c := range []struct {
		host, client string
		want         int
	}{
		{"x", "203.0.113.1", 404}, {"x", "203.0.113.2", 404}, {"x", "203.0.113.1", 503}, {"x", "2001:db8::1", 404}, {"x", "2001:db8::2", 404},
		{"x", "2001:db8:0::2", 503}, {"late", "203.0.113.2", 503}, {"late", "203.0.113.3", 404}, {"late", "203.0.113.3", 503},
	} {
		r := s.Do(proxytest.Request{Host: c.host, Fields: []string{"X-Real-IP: " + c.client}})
		if r.Status != c.want {
			t.Errorf("%+v: status %d; want %d", c, r.Status, c.want)
		}
	}
	if log := s.Log.String(); strings.Count(log, `by zone "one", client: 203.0.113.1, server`) != 1 || strings.Contains(log, "client: 127.0.0.1") {
		t.Errorf("the error log has (want %q once and no \"client: 127.0.0.1\" in it):\n%s", `by zone "one", client: 203.0.113.1, server`, log)
	}
}

// Location's directives do not replace what the server's have found, and an
// internal redirect does not lead to a second replacement.
func TestAnAddressIsReplacedOnceARequest(t *testing.T) {
	s := start(t, `server { listen 80; `+shown+`
		location /first { set_real_ip_from 127.0.0.1; real_ip_header X-One; error_page 404 = /second; }
		location /second { set_real_ip_from 0.0.0.0/0; real_ip_header X-Two; }
		location /none { set_real_ip_from 192.0.2.1; error_page 404 = /second; } }`)
	for target, want := range map[string]string{"/first": "203.0.113.1  127.0.0.1", "/second": "203.0.113.2  127.0.0.1", "/none": "203.0.113.2  127.0.0.1"} {
		if got := s.Get(target, "X-One: 203.0.113.1", "X-Two: 203.0.113.2").Header.Get("X-Seen"); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

func TestTheBinaryAddressIsTheClients(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Modules: []proxy.Module{realip.Module(), header.Module()},
		Text: `set_real_ip_from 127.0.0.1; server { listen 80; add_header X-Seen "<$binary_remote_addr>" always; location / { } }`})
	for client, want := range map[string]string{"65.66.67.68": "<ABCD>", "4142:4344:4546:4748:494a:4b4c:4d4e:4f50": "<ABCDEFGHIJKLMNOP>", "unknown": "<\x7f\x00\x00\x01>"} {
		if got := s.Get("/", "X-Real-IP: "+client).Header.Get("X-Seen"); got != want {
			t.Errorf("%s: %q, want %q", client, got, want)
		}
	}
}

func TestWhatIsReadOtherwiseThanWrittenIsAWarning(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"set_real_ip_from 10.0.0.1/8;", `low address bits of "10.0.0.1/8" are meaningless; it is read as "10.0.0.0/8"`},
		{"set_real_ip_from 2001:db8::1/32;", `low address bits of "2001:db8::1/32" are meaningless; it is read as "2001:db8::/32"`},
		{"set_real_ip_from 10.0.0.0/8;", ""},
		{"set_real_ip_from 10.0.0.1/32; set_real_ip_from ::1/128; set_real_ip_from 10.0.0.1;", ""},
	} {
		warnings, err := proxytest.Check(t, proxytest.Config{Text: c.text + " server { listen 80; }", Modules: []proxy.Module{realip.Module()}})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range warnings {
			got += w.Msg
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestMistakesNameWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"set_real_ip_from nohost.invalid;", `host not found in set_real_ip_from "nohost.invalid"; it takes an address, a range such as 192.0.2.0/24, a host name or "unix:"`},
		{"set_real_ip_from 192.0.2.1/33;", `host not found in set_real_ip_from "192.0.2.1/33"`},
		{"set_real_ip_from unix:/run/x;", `host not found in set_real_ip_from "unix:/run/x"`},
		{"set_real_ip_from '';", `host not found in set_real_ip_from ""`},
		{"real_ip_header 'X Y';", `invalid real_ip_header "X Y"; it is the name of a header field, or "proxy_protocol"`},
		{"real_ip_header A; real_ip_header B;", `duplicate`},
		{"real_ip_recursive maybe;", `"real_ip_recursive" takes "on" or "off", not "maybe"`},
	} {
		_, err := proxytest.Check(t, proxytest.Config{Text: c.text + " server { listen 80; }", Modules: []proxy.Module{realip.Module()}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestAddressesWhereEachPhaseWaits(t *testing.T) { proxytest.RunPausing(t, ".", "Nginx") }
