package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/cmd/alicorn/control"
)

// appSite is a program with one application, whose file has the given code.
func appSite(t *testing.T, settings, code string) (f *fakeProgram, file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "app.py")
	writeFile(t, file, code)
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	return newFakeProgram(t, fmt.Sprintf(`app web { wsgi app:app; directory %s; python /usr/bin/python3; env PYTHONDONTWRITEBYTECODE=1; %s %s }
server { listen 127.0.0.1:0; client_body_buffer_size 1m; location / { app_pass web; } }`, dir, user, settings)), file
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// echo answers with word and the length of the body; /big with 300,000 bytes.
func echo(word string) string {
	return fmt.Sprintf(`
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/big":
        return [b"x" * 300000]
    return [b"%s %%d" %% len(environ["wsgi.input"].read())]
`, word)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// client is a connection to the first listener.
func client(t *testing.T, s *server) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp4", s.loaded().generation.Listeners[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(6 * patience))
	return nc
}

// Slow clients of old generations keep their requests, but no workers.
func TestSlowClientsKeepNoOldWorkers(t *testing.T) {
	t.Parallel()
	f, file := appSite(t, "workers 2;", echo("first"))
	s, _ := serving(t, f)
	var uploads, readers []net.Conn
	for i := range 4 {
		up, down := client(t, s), client(t, s)
		fmt.Fprint(up, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 80000\r\nConnection: close\r\n\r\n"+strings.Repeat("x", 40_000))
		fmt.Fprint(down, "GET /big HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
		if _, err := io.ReadFull(down, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		uploads, readers = append(uploads, up), append(readers, down)
		writeFile(t, file, echo(fmt.Sprintf("version%d", i)))
		if err := reload(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "one pool of two workers", func() bool {
		st := s.Status()
		return len(st.Apps) == 1 && len(st.Apps[0].Workers) == 2
	})
	for _, up := range uploads {
		fmt.Fprint(up, strings.Repeat("x", 40_000))
		if got := answer(t, up); got != "version3 80000" {
			t.Errorf("an upload got %.100q, want the newest code's answer", got)
		}
	}
	for _, down := range readers {
		if rest, err := io.ReadAll(down); err != nil || len(rest) < 299_000 {
			t.Errorf("a slow reader got %d bytes more, %v; want at least 299000", len(rest), err)
		}
	}
}

// answer returns the body of a response.
func answer(t *testing.T, nc net.Conn) string {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

// Forty applications share one file: a server that is added replaces no worker.
func TestAServerBesideFortyApplicationsReplacesNoWorker(t *testing.T) {
	t.Parallel()
	f, _ := appSite(t, "workers 1;", echo("first"))
	f.mu.Lock()
	one, _, _ := strings.Cut(f.text, "server {")
	f.mu.Unlock()
	_, one, _ = strings.Cut(one, "app web ")
	var all strings.Builder
	for i := range 40 {
		fmt.Fprintf(&all, "app a%d %s\nserver { listen 127.0.0.1:0; server_name s%d; location / { app_pass a%d; } }\n", i, one, i, i)
	}
	f.set(all.String())
	s, _ := serving(t, f)
	pids := func() (all []int) {
		for _, a := range s.Status().Apps {
			for _, w := range a.Workers {
				all = append(all, w.PID)
			}
		}
		slices.Sort(all)
		return all
	}
	eventually(t, "forty workers", func() bool {
		ready := 0
		for _, a := range s.Status().Apps {
			if a.State == "running" {
				ready++
			}
		}
		return ready == 40
	})
	before := pids()
	f.set(`server { listen 127.0.0.1:0; server_name new; return 200 "new"; }` + "\n" + all.String())
	fates, err := s.Reload(t.Context(), control.Reload{})
	if err != nil {
		t.Fatal(err)
	}
	for _, fate := range fates {
		if fate.Fate != "kept" {
			t.Errorf(`app %s: %s, %s; want "kept"`, fate.App, fate.Fate, fate.Why)
		}
	}
	if after := pids(); len(fates) != 40 || !slices.Equal(before, after) {
		t.Errorf("%d fates; workers %v, before %v; want 40", len(fates), after, before)
	}
}

// A server of one process goes on in the log that its configuration names, after a reload that
// succeeds: see also the script reload_logs.
func TestAReloadOpensMovedLogsAgain(t *testing.T) {
	t.Parallel()
	const text = `server { listen 127.0.0.1:0; return 200 "served"; }`
	f := newFakeProgram(t, text)
	s, _ := serving(t, f)
	log := filepath.Join(f.dir, "error.log")
	if err := os.Rename(log, log+".old"); err != nil {
		t.Fatal(err)
	}
	f.set("broken;")
	if err := reload(t.Context(), s); err == nil {
		t.Error("a mistake was loaded")
	}
	if _, err := os.Lstat(log); !os.IsNotExist(err) {
		t.Errorf("a reload that failed has opened the log again: %v", err)
	}
	f.set(text)
	if err := reload(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, path := range []string{log + ".old", log} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		texts[path] = string(text)
	}
	old, now := texts[log+".old"], texts[log]
	if !strings.Contains(old, "reload failed") || strings.Contains(old, "reloaded") || !strings.Contains(now, "reloaded") {
		t.Errorf("the old log has %q, the new one %q; want \"reload failed\" in the old one, \"reloaded\" in the new one", old, now)
	}
	if err := errors.Join(os.Remove(log), os.Mkdir(log, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := reload(t.Context(), s); err == nil || !strings.Contains(err.Error(), "cannot open log "+log) {
		t.Errorf("a log cannot be opened: %v, want that it cannot", err)
	}
	if got := body(t, s); got != "served" {
		t.Errorf("the server answers %q, want %q", got, "served")
	}
}
