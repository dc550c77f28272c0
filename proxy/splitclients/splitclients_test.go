package splitclients_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/proxy/splitclients"
)

func modules() []proxy.Module { return []proxy.Module{rewrite.Module(), splitclients.Module()} }

const site = `
	split_clients "$arg_k-text" $three { 0.5% .one; 49.5% .two; * ""; }
	split_clients $arg_k $many { 10% a; 10.1% b; 20.25% c; 0.01% d; 50% "e e"; }
	split_clients $arg_k $all { 100% all; }
	split_clients $arg_k $none { }
	server { LISTEN return 200 "[$three] [$many] [$all] [$none]"; }
`

func TestClientsAreSplitAsNginxSplitsThem(t *testing.T) {
	dir := proxytest.NginxDir(t)
	proxytest.StartNginx(t, dir, "access_log off; "+strings.ReplaceAll(site, "LISTEN", "listen unix:DIR/s;"))
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: strings.ReplaceAll(site, "LISTEN", "listen 80;")})
	nc, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	in, seen := bufio.NewReader(nc), map[string]int{}
	for i := range 500 {
		target := fmt.Sprintf("/?k=%s%d", strings.Repeat("x", i%7), i*i)
		fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Get(target).Text()
		if got != string(want) {
			t.Errorf("%s: ours %s, nginx %s", target, got, want)
		}
		seen[got]++
	}
	if len(seen) < 10 {
		t.Errorf("only %d combinations of values, want at least 10", len(seen))
	}
}

func TestMistakesInSplitClientsHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		`split_clients $uri x { }`:                   `:1:20: invalid variable name "x"`,
		`split_clients $uri $x { 50 a; }`:            `:1:25: invalid percent value "50"; it is from 0.01% to 100%, with two decimals at most`,
		`split_clients $uri $x { 0% a; }`:            `:1:25: invalid percent value "0%"`,
		`split_clients $uri $x { 0.001% a; }`:        `:1:25: invalid percent value "0.001%"`,
		`split_clients $uri $x { -1% a; }`:           `:1:25: invalid percent value "-1%"`,
		`split_clients $uri $x { 99999999999% a; }`:  `:1:25: invalid percent value "99999999999%"`,
		`split_clients $uri $x { 60% a; 40.01% b; }`: `:1:32: percent total is greater than 100%`,
		`split_clients $uri $x { * a; 1% b; }`:       `:1:30: percent total is greater than 100%`,
		`split_clients $uri $x { 50%; }`:             `:1:25: a line of split_clients is a share and a value`,
		`split_clients $uri $x { 50% a b; }`:         `:1:25: a line of split_clients is a share and a value`,
		`split_clients $uri $host { }`:               `:1:20: the variable "$host" is the server's own`,
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: modules(), Text: text})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
