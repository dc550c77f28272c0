package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

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
