package geo_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/geo"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/realip"
	"alicorn/proxy/rewrite"
)

func modules() []proxy.Module {
	return []proxy.Module{realip.Module(), rewrite.Module(), geo.Module()}
}

// site is served by both. The client's address is what X-Real-IP says.
const site = `
	geo $client { default other; 127.0.0.1 local; 192.0.2.0/24 net; 192.0.2.128/25 half; 192.0.2.200 one; 2001:db8::/32 six; 2001:db8:1::/48 six-more; ::1 six-local; 255.255.255.255 nobody; include DIR/more; }
	geo $arg_a $asked { 192.0.2.0/24 net; 255.255.255.255 nobody; 0.0.0.0/1 low; ::/0 six; ::ffff:203.0.113.0/120 mapped; 198.51.100.7/24 "two words"; 10.0.0.0/8 $uri; "10.1.0.0/16" ""; }
	geo $deleted { default other; 192.0.2.0/24 net; 192.0.2.1 one; delete 192.0.2.1; delete 198.51.100.0/24; 192.0.2.0/24 again; }
	geo $arg_a $spans { ranges; default none; 192.0.2.1-192.0.2.9 first; 192.0.2.3-192.0.2.5 inside; 192.0.2.1-192.0.2.2 begin; 192.0.2.9-192.0.2.9 end; 198.51.0.0-198.52.10.9 long; 198.51.200.0-198.52.0.4 across; 192.0.2.3-192.0.2.5 again; 203.0.113.1-203.0.113.5 gone; delete 203.0.113.1-203.0.113.5; delete 203.0.113.7-203.0.113.9; include DIR/spans; 255.0.0.0-255.255.255.254 high; }
	geo $nodefault { ranges; 192.0.2.0-192.0.2.255 net; }
	geo $forwarded { default other; proxy 192.0.2.0/24; proxy 2001:db8::/32; 198.51.100.0/24 net; 192.0.2.0/24 proxy; 203.0.113.9 far; }
	geo $recursive { proxy_recursive; proxy 192.0.2.0/24; proxy 2001:db8::1; 198.51.100.0/24 net; 192.0.2.0/24 proxy; 203.0.113.9 far; }
	geo $arg_a $of_text { proxy 192.0.2.0/24; 198.51.100.0/24 net; 192.0.2.0/24 proxy; 255.255.255.255 nobody; }
	server { LISTEN server_name _; default_type text/plain; set_real_ip_from unix:; set_real_ip_from 127.0.0.1;
		return 200 "[$client] [$asked] [$deleted] [$spans] [$nodefault] [$forwarded] [$recursive] [$of_text]"; }
`

func TestGeoDoesWhatNginxDoes(t *testing.T) {
	dir := proxytest.NginxDir(t)
	for name, text := range map[string]string{"more": "172.16.0.0/12 included;\n", "spans": "172.16.0.0-172.31.255.255 included;\n172.16.0.0-172.16.255.255 less;"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.ReplaceAll(site, "DIR", dir)
	proxytest.StartNginx(t, dir, "access_log off; "+strings.ReplaceAll(text, "LISTEN", "listen unix:DIR/s;"))
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: strings.ReplaceAll(text, "LISTEN", "listen 80;")})
	addresses := []string{"", "127.0.0.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.5", "192.0.2.6", "192.0.2.9", "192.0.2.10", "192.0.2.127", "192.0.2.128", "192.0.2.200", "192.0.3.0", "1.2.3.4", "198.51.100.8",
		"198.51.0.0", "198.51.199.255", "198.51.200.0", "198.52.0.4", "198.52.0.5", "198.52.10.9", "198.52.10.10", "203.0.113.3", "203.0.113.8", "172.16.3.4", "172.17.0.0", "172.31.255.255", "172.32.0.0", "255.255.255.255", "255.255.255.254", "10.0.0.1", "10.1.0.1",
		"2001:db8::1", "2001:db8:1::1", "2001:db9::", "::1", "::ffff:192.0.2.200", "::ffff:203.0.113.9", "::", "nonsense", "1.2.3", "1.2.3.4:80", "[::1]", "256.1.1.1", "fe80::1%eth0"}
	lists := []string{"", "198.51.100.1", "203.0.113.9, 198.51.100.1", "203.0.113.9, 192.0.2.7", "203.0.113.9,2001:db8::1, 192.0.2.7", "192.0.2.1, 192.0.2.7", "x, 192.0.2.7", "203.0.113.9, x", "198.51.100.1:80", ", 198.51.100.1", "::ffff:198.51.100.1"}
	for _, a := range addresses {
		for _, list := range lists {
			if list != "" && !strings.HasPrefix(a, "192.0.2.") && !strings.Contains(a, ":") {
				continue
			}
			target := "/?a=" + a
			fields := []string{"X-Real-IP: " + a}
			if list != "" {
				fields = append(fields, "X-Forwarded-For: "+list, "X-Forwarded-For: 192.0.2.77")
			}
			r := s.Do(proxytest.Request{Target: target, Fields: fields, Remote: "unix:"})
			if got, want := r.Text(), ask(t, filepath.Join(dir, "s"), target, fields); got != want {
				t.Errorf("%s %q:\nours  %s\nnginx %s", target, fields, got, want)
			}
		}
	}
}

// TestRangesAreSplitAsNginxSplitsThem gives both the same random ranges.
func TestRangesAreSplitAsNginxSplitsThem(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	loaded := 0
	for range 60 {
		var text strings.Builder
		for i := range 1 + r.IntN(8) {
			first := 0x0a00fff8 + uint32(r.IntN(16))
			last := first + uint32(r.IntN(12))
			if r.IntN(6) == 0 {
				fmt.Fprintf(&text, "delete %s-%s; ", ip(first), ip(last))
			} else {
				fmt.Fprintf(&text, "%s-%s v%d; ", ip(first), ip(last), i)
			}
		}
		conf := "geo $arg_a $v { ranges; default none; " + text.String() + "}"
		_, err := proxytest.Check(t, proxytest.Config{Modules: modules(), Text: conf})
		if nginx := accepts(t, conf); nginx != (err == nil) {
			t.Errorf("%s\nours  %v\nnginx accepts it: %v", conf, err, nginx)
			continue
		}
		if err != nil {
			continue
		}
		loaded++
		dir := proxytest.NginxDir(t)
		stop := proxytest.StartNginx(t, dir, "access_log off; "+conf+" server { listen unix:DIR/s; return 200 $v; }")
		s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: conf + " server { listen 80; return 200 $v; }"})
		for n := uint32(0x0a00fff0); n < 0x0a010018; n++ {
			target := "/?a=" + ip(n)
			if got, want := s.Get(target).Text(), ask(t, filepath.Join(dir, "s"), target, nil); got != want {
				t.Errorf("%s of %s: ours %q, nginx %q", target, conf, got, want)
			}
		}
		stop()
	}
	if loaded < 10 {
		t.Errorf("only %d blocks without a mistake, want at least 10", loaded)
	}
}

func ip(n uint32) string { return fmt.Sprintf("%d.%d.%d.%d", n>>24, n>>16&255, n>>8&255, n&255) }

// accepts reports whether nginx takes a configuration.
func accepts(t *testing.T, http string) bool {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "c")
	text := fmt.Sprintf("pid %[1]s/pid; events { } http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/g; %[2]s }", dir, http)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("nginx", "-t", "-p", dir, "-c", file, "-e", filepath.Join(dir, "log")).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "overlaps") {
		t.Fatalf("nginx refuses more than overlaps: %s\n%s", out, http)
	}
	return err == nil
}

func ask(t *testing.T, socket, target string, fields []string) string {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", target, strings.Join(append(fields, ""), "\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
