package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheckComparesTheWholeAnswer(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		fails  bool
	}{
		{"right", 200, "65536", false},
		{"right but for a newline", 200, "65536\n", false},
		{"too long", 200, "65536 and more", true},
		{"another status", 404, "65536", true},
		{"empty", 200, "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err != nil || r.Method != http.MethodPost || string(body) != "sent" {
					t.Errorf("%s with %q, %v, want a POST of the body", r.Method, body, err)
				}
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			}))
			defer backend.Close()
			s := &server{name: "backend", addr: backend.Listener.Addr().String()}
			c := benchCase{name: "upload", path: "/upload", body: []byte("sent"), want: func() []byte { return []byte("65536") }}
			if err := s.check(t.Context(), c); (err != nil) != test.fails {
				t.Errorf("check = %v, want an error: %v", err, test.fails)
			}
		})
	}
}

func TestChooseCases(t *testing.T) {
	tests := []struct {
		name, list string
		count      int
		fails      bool
	}{
		{"all", "", 30, false},
		{"one", "hello", 1, false},
		{"two with spaces", "hello, static-1k", 2, false},
		{"all that begin so", "tls,proxy-10k-*", 5, false},
		{"a pattern", "proxy-*-tcp", 4, false},
		{"nothing is such", "proxy-20k-*", 0, true},
		{"no pattern", "proxy-[", 0, true},
		{"unknown", "hello,static-1", 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cases, err := chooseCases(test.list)
			if (err != nil) != test.fails || len(cases) != test.count {
				t.Errorf("chooseCases(%q) = %d cases, %v; want an error: %v and %d", test.list, len(cases), err, test.fails, test.count)
			}
		})
	}
}

func TestEveryCaseHasItsFiles(t *testing.T) {
	s, err := newSite()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(s.dir)
	for _, c := range allCases() {
		if c.script != "" {
			if _, err := os.Stat(filepath.Join(s.appDir(), c.script)); err != nil {
				t.Error(err)
			}
		}
		if c.frontAlone() && c.backend == "" {
			data, err := os.ReadFile(filepath.Join(s.dir, c.path))
			if err != nil || string(data) != string(c.want()) {
				t.Errorf("%s: the file is not what is wanted: %v", c.name, err)
			}
		}
	}
}

// What both configurations say of files, connections and logs is the same, so
// that neither is slower by its words.
func TestConfigurationsAreTakenAndEqual(t *testing.T) {
	site, err := newSite()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(site.dir)
	site.directives = "client_header_timeout 5s;\n" + fmt.Sprintf(upstreamBlock, "unix:/none")
	shared := site.directives
	var texts []string
	for name, location := range map[string]string{"nginx": "", "nginx-proxy": passLocation, "nginx+gunicorn": fmt.Sprintf(gunicornLocation, "/none"), "nginx+uvicorn": asgiLocation,
		"nginx+uwsgi": gatewayLocation("uwsgi", "unix:/none"), "nginx-fastcgi": gatewayLocation("fastcgi", "unix:/none"), "nginx-scgi": gatewayLocation("scgi", "unix:/none")} {
		site.directives = shared + fmt.Sprintf(asgiUpstream, "/none")
		s, err := newServer(site, name)
		if err != nil {
			t.Fatal(err)
		}
		text := s.nginxConfiguration(site, location)
		file, err := s.write("nginx.conf", text)
		if err != nil {
			t.Fatal(err)
		}
		path, err := program("nginx")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, "-t", "-q", "-p", s.dir, "-c", file, "-e", filepath.Join(s.dir, "error.log")).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("nginx refuses the configuration of %s: %v (want nothing):\n%s", name, err, out)
		}
		texts = append(texts, text)
	}
	site.directives = shared
	for _, site.passes = range []string{"", passLocation} {
		texts = append(texts, new(alicorn).configuration(site, &server{dir: site.dir, addr: "127.0.0.1:1"}))
	}
	for _, line := range []string{"access_log off;", "open_file_cache max=1000 inactive=60s;", "keepalive_requests 1000000000;", "keepalive_timeout 75s;",
		"client_body_buffer_size 128k;", "client_max_body_size 200m;", "client_header_timeout 5s;"} {
		for _, text := range texts {
			if !strings.Contains(text, line) {
				t.Errorf("%q is missing in\n%s", line, text)
			}
		}
	}
}

func TestTransferKeepsToItsRate(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); r.Method == http.MethodPost && (err != nil || n != 1<<20) {
			t.Errorf("received %d bytes, %v; want 1 MiB", n, err)
		}
		if r.Method == http.MethodGet {
			w.Write(make([]byte, 1<<20))
		}
	}))
	defer backend.Close()
	transfer := transfer{size: 1 << 20, rate: 10 << 20}
	for name, run := range map[string]func() error{
		"upload":   func() error { return transfer.upload(t.Context(), backend.Listener.Addr().String()) },
		"download": func() error { return transfer.download(t.Context(), backend.Listener.Addr().String()) },
	} {
		started := time.Now()
		if err := run(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if took := time.Since(started); took < 100*time.Millisecond {
			t.Errorf("%s took %v, want at least 100ms", name, took)
		}
	}
}
