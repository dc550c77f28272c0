package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"alicorn/appserver"
	"alicorn/appserver/pool"
	"alicorn/cmd/alicorn/control"
)

func TestAServersStringsRuleNoTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;x\x07\u009b2J\u202e"
	st := control.Status{
		Version: evil, Config: evil, Listeners: []string{evil}, Logs: []control.Log{{Path: evil, Error: evil}},
		Certificates: []control.Certificate{{Name: evil, Error: evil}},
		Blocking:     []control.Blocking{{Location: evil, Place: evil, Times: 1}},
		Failures:     []control.Failure{{What: evil, Error: evil}}, Replaced: &control.Replaced{Times: 1, Why: evil},
		Apps: []control.App{{Name: evil, Workers: []control.Worker{{Name: evil, State: evil, Request: evil}}}},
	}
	var status, certs, asJSON bytes.Buffer
	for _, err := range []error{
		show(&status, func(w io.Writer) error { return printStatus(w, st) }),
		show(&certs, func(w io.Writer) error { return printCertificates(w, st.Certificates, time.Now()) }),
		showJSON(&asJSON, st),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{status.String(), certs.String(), asJSON.String()} {
		if strings.ContainsAny(text, evil[:1]+"\x07\u009b\u202e") {
			t.Errorf("it prints %q, want no control characters", text)
		}
	}
	var back control.Status
	if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || back.Config != evil {
		t.Errorf("JSON gives %q, %v; want %q", back.Config, err, evil)
	}
}

// Who looks at forty applications at night sees first which of them fail, and
// finds them where the configuration has them.
func TestStatusNamesFailingAppsFirst(t *testing.T) {
	t.Parallel()
	shown := []control.App{{Name: "gone"}, {Name: "b", Error: "cannot import b"}, {Name: "old", Error: "x"}, {Name: "a"}, {Name: "c", Error: "cannot import c"}}
	app := func(name string) *appserver.App { return &appserver.App{Settings: pool.Settings{Name: name}} }
	inOrder(shown, []*appserver.App{app("c"), app("a"), app("b")})
	var names []string
	for _, a := range shown {
		names = append(names, a.Name)
	}
	if got := strings.Join(names, " "); got != "c a b gone old" {
		t.Errorf(`the order is %s, want "c a b gone old"`, got)
	}
	var b strings.Builder
	if err := printStatus(&b, control.Status{Apps: shown}); err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(b.String(), "\n\napp ")
	if want := "failing       3 of 5 apps, see below: c, b, old"; !strings.HasSuffix(head, want) {
		t.Errorf("it begins with %q, want %q at its end", head, want)
	}
}

func TestStatusNamesLocationsThatBlockTheirLoopWithARemedy(t *testing.T) {
	t.Parallel()
	var b, none strings.Builder
	err := errors.Join(
		printStatus(&b, control.Status{Blocking: []control.Blocking{{Location: "/slow", Place: "alicorn.conf:7:2", Times: 3}, {Place: "alicorn.conf:5:1", Times: 1}}}),
		printStatus(&none, control.Status{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"blocking      location /slow at alicorn.conf:7:2 has kept its event loop for several milliseconds, 3 times\n",
		"blocking      the server at alicorn.conf:5:1 has kept its event loop for several milliseconds, once\n" + blockingRemedy,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("status prints %q, want %q in it", b.String(), want)
		}
	}
	if strings.Contains(none.String(), blockingRemedy) {
		t.Errorf("without blocking locations status prints %q, want no remedy", none.String())
	}
}

// The clock of the machine may be set while a server runs.
func TestTheStatusSaysHowLongAServerIsUpWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printStatus(&out, control.Status{PID: 7, Up: 2, Replaced: &control.Replaced{Times: 1}}); err != nil || !strings.Contains(out.String(), "pid 7, its present front up 2s,") {
		t.Errorf("after a crash of the front: %v, %q; want \"pid 7, its present front up 2s,\"", err, out.String())
	}
	out.Reset()
	if err := printStatus(&out, control.Status{Started: time.Now().Add(24 * time.Hour), Up: 61.7}); err != nil || !strings.Contains(out.String(), "up 1m2s,") {
		t.Errorf(`it prints %q, %v; want "up 1m2s," in it`, out.String(), err)
	}
}

func TestAFailureIsToldUntilItSucceeds(t *testing.T) {
	t.Parallel()
	var f failures
	f.note("upgrade", errors.New("one\ntwo"))
	f.note("reload", errors.New("three"))
	f.note("reload", errors.New("four\nfive"))
	all := f.list()
	if len(all) != 2 || all[0].What != "reload" || all[0].Error != "four" || all[1].Error != "one" || all[0].At.IsZero() {
		t.Errorf("it lists %+v, want reload: four, then upgrade: one, with their times", all)
	}
	f.note("reload", nil)
	f.note("upgrade", nil)
	if all := f.list(); len(all) != 0 {
		t.Errorf("after successes it lists %+v, want nothing", all)
	}
}

func TestCertFailsWhereACertificateDoes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := control.Certificate{Name: "a", NotAfter: now.Add(time.Hour)}
	for _, c := range []struct {
		name string
		all  []control.Certificate
		fail bool
	}{
		{"none", nil, false},
		{"good", []control.Certificate{good}, false},
		{"not yet ordered", []control.Certificate{{Name: "b"}}, false},
		{"order failed", []control.Certificate{good, {Name: "b", Error: "refused"}}, true},
		{"renewal failed", []control.Certificate{{Name: "a", NotAfter: now.Add(time.Hour), Error: "refused"}}, true},
		{"expired", []control.Certificate{{Name: "a", NotAfter: now.Add(-time.Hour)}}, true},
	} {
		if err := failing(c.all, now); (err != nil) != c.fail || err != nil && exitCode(err) != exitFailed {
			t.Errorf("%s: %v; want an error with exit code 1: %v", c.name, err, c.fail)
		}
	}
}
