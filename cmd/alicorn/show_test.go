package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/control"
)

func TestAServersStringsRuleNoTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;x\x07\u009b2J\u202e"
	st := control.Status{
		Version: evil, Config: evil, Listeners: []string{evil}, Logs: []control.Log{{Path: evil, Error: evil}},
		Certificates: []control.Certificate{{Name: evil, Error: evil}},
		Apps:         []control.App{{Name: evil, Workers: []control.Worker{{Name: evil, State: evil, Request: evil}}}},
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
			t.Errorf("it prints %q", text)
		}
	}
	var back control.Status
	if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || back.Config != evil {
		t.Errorf("JSON gives %q, %v", back.Config, err)
	}
}

// Who looks at forty applications at night sees first which of them fail, and
// finds them where the configuration has them.
func TestStatusNamesFailingAppsFirst(t *testing.T) {
	t.Parallel()
	shown := []control.App{{Name: "gone"}, {Name: "b", Error: "cannot import b"}, {Name: "old", Error: "x"}, {Name: "a"}, {Name: "c", Error: "cannot import c"}}
	inOrder(shown, []*appserver.App{{Name: "c"}, {Name: "a"}, {Name: "b"}})
	var names []string
	for _, a := range shown {
		names = append(names, a.Name)
	}
	if got := strings.Join(names, " "); got != "c a b gone old" {
		t.Errorf("the order is %s", got)
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
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
