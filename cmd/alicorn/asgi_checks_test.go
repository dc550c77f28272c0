package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// asgiCheck is one check of testdata/asgi/checks, which runs in an application at /NAME, and
// what its client sends and expects. Nothing said means: a GET is answered with 200 and
// "ok".
type asgiCheck struct {
	name   string
	target string   // what follows /NAME
	method string   // empty: GET
	fields []string // lines of the request's head
	body   string   // sent with its length
	status int      // 0: 200
	want   string   // the answer's body; empty: "ok"
	head   []string // lines that the answer's head has, with lower-case names
	lacks  []string // fields that it has not
	talk   func(c *asgiClient, k asgiCheck)
	// uvicorn is a part of the faults that Debian's uvicorn is known for, the same for
	// each; empty: it has none.
	uvicorn string
}

// TestASGIChecks runs an application that checks its server from inside. Debian's
// uvicorn stands beside: it has the faults that are named, and no other.
func TestASGIChecks(t *testing.T) {
	t.Parallel()
	dir := asgiDirectory(t, "checks")
	for _, server := range asgiServers() {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			shutdown := filepath.Join(dir, "records", server.name)
			s := server.start(t, dir, "checks:app", "CHECKS_SHUTDOWN="+shutdown)
			for _, k := range slices.Concat(httpChecks(s.file), faultChecks(), lifespanChecks(), websocketChecks(), []asgiCheck{{name: "worker_is_still_the_first"}}) {
				t.Run(k.name, func(t *testing.T) { k.run(t, s, server.name == "uvicorn") })
			}
			s.stop(t)
			if text, err := os.ReadFile(shutdown); err != nil || string(text) != "lifespan.shutdown\n" {
				t.Errorf("at shutdown the application heard %q, %v, want lifespan.shutdown once", text, err)
			}
		})
	}
}

// run runs the check, and compares its faults with those that are known.
func (k asgiCheck) run(t *testing.T, s asgiServer, uvicorn bool) {
	c := dialASGI(t, s.address)
	if k.talk != nil {
		k.talk(c, k)
	} else {
		k.exchange(c)
	}
	if strings.HasPrefix(k.name, "ws_") {
		c.conn.Close() // some servers wait for it after the closing handshake
	}
	faults := append(c.faults, k.verdict(t, s.address)...)
	known := ""
	if uvicorn {
		known = k.uvicorn
	}
	switch text := strings.Join(faults, "\n"); {
	case known == "" && text != "":
		t.Error(text)
	case known != "" && !strings.Contains(text, known):
		t.Errorf("the known fault %q is not among %q", known, text)
	}
}

// verdict returns the faults that the application has found.
func (k asgiCheck) verdict(t *testing.T, address string) (faults []string) {
	res, err := http.Get("http://" + address + "/verdict?" + k.name)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil {
		err = json.Unmarshal(text, &faults)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return faults
}

// open opens the gate at which the check waits.
func (k asgiCheck) open(c *asgiClient) { k.ask(c, "open") }

// begun waits until the check has got as far as the client needs.
func (k asgiCheck) begun(c *asgiClient) { k.ask(c, "begun") }

func (k asgiCheck) ask(c *asgiClient, what string) {
	res, err := http.Get("http://" + c.address + "/" + what + "?" + k.name)
	if err != nil {
		c.fault("cannot ask for %s: %v", what, err)
		return
	}
	defer res.Body.Close()
	c.same(res.StatusCode, http.StatusOK, "status of "+what)
}

// request returns the request's text.
func (k asgiCheck) request() string {
	method := k.method
	if method == "" {
		method = "GET"
	}
	lines := []string{fmt.Sprintf("%s /%s%s HTTP/1.1", method, k.name, k.target)}
	if !slices.ContainsFunc(k.fields, func(f string) bool { return strings.HasPrefix(f, "Host:") }) {
		lines = append(lines, "Host: checks.test")
	}
	lines = append(lines, k.fields...)
	if k.body != "" {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(k.body)))
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + k.body
}

// exchange sends the request and checks the answer.
func (k asgiCheck) exchange(c *asgiClient) asgiAnswer {
	c.send(k.request())
	return k.answer(c)
}

// answer checks the next answer.
func (k asgiCheck) answer(c *asgiClient) asgiAnswer {
	method, status, want := k.method, k.status, k.want
	if status == 0 {
		status = http.StatusOK
	}
	if want == "" {
		want = "ok"
	}
	if method == "HEAD" || status == 204 || status == 304 || want == "none" {
		want = ""
	}
	a := c.read(method)
	c.same(a.status, status, "status")
	if want != "*" {
		c.same(a.body, want, "body")
	}
	c.same(a.cut, false, "whether the answer is cut off")
	for _, line := range k.head {
		name, value, _ := strings.Cut(line, ": ")
		c.same(strings.Join(a.header.Values(name), ", "), value, "field "+name)
	}
	for _, name := range k.lacks {
		if values := a.header.Values(name); values != nil || name == "transfer-encoding" && a.chunked {
			c.fault("the answer has the field %s: %q", name, values)
		}
	}
	return a
}

// asgiDirectory copies a folder of testdata/asgi to one that workers of any user can read,
// with a folder "records" that they can write to.
func asgiDirectory(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "asgi", name))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file.txt"), []byte("abcdefghijklmnopqrstuvwxyz"), 0o644); err != nil {
		t.Fatal(err)
	}
	records := filepath.Join(dir, "records")
	if err := errors.Join(os.Mkdir(records, 0o777), prepareFiles(dir, strings.NewReplacer()), os.Chmod(records, 0o777)); err != nil {
		t.Fatal(err)
	}
	return dir
}
