package authbasic

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
)

// slow is a scheme whose checks begin with a value in begun, and end when open is
// closed. The password is what follows the prefix.
type slow struct {
	begun chan struct{}
	open  chan struct{}
	calls atomic.Int32
	state *shared // of the server
}

func newSlow() *slow { return &slow{begun: make(chan struct{}, 1000), open: make(chan struct{})} }

func (s *slow) entry(password string) *entry {
	matches := func(hash, password string) bool {
		s.calls.Add(1)
		s.begun <- struct{}{}
		<-s.open
		return hash == password
	}
	return &entry{hash: password, cost: time.Second, scheme: &scheme{matches: matches}}
}

// start serves files, where / needs a password of s's table: that of ada is "secret".
func (s *slow) start(t *testing.T) *proxytest.Server {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	state, err := stateOf(path)
	if err != nil {
		t.Fatal(err)
	}
	ada := s.entry("secret")
	filled := &table{state: state, settled: true, users: map[string]*entry{"ada": ada}, dearest: ada}
	m := Module()
	compile := m.Compile
	m.Compile = func(sc *config.Scope, l *proxy.Location) error {
		s.state = m.Settings.(*config.Key[settings]).In(sc).shared
		s.state.files.put(path, filled)
		return compile(sc, l)
	}
	content := proxy.Module{Name: "content", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error { return x.Res.Reply(200, "text/plain", []byte("in")) }))
		return nil
	}}
	return proxytest.New(t, proxytest.Config{Dir: dir, Serve: http1.Serve, Modules: []proxy.Module{m, content},
		Text: "server { listen 127.0.0.1:80; auth_basic_user_file users; location / { auth_basic x; } location /delayed { auth_basic x; auth_delay 1h; } location /free { } }"})
}

func asking(user, password string) string {
	return "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n\r\n"
}

func places() int { return max(runtime.GOMAXPROCS(0)/4, 1) }

func TestChecksDelayNobodyAndAreBounded(t *testing.T) {
	s := newSlow()
	server := s.start(t)
	before := runtime.NumGoroutine()
	var all []io.Reader
	for i := range places() + maxWaiting {
		nc := server.Dial("")
		io.WriteString(nc, asking([]string{"ada", "eve"}[i%2], "wrong"))
		all = append(all, nc)
	}
	for range places() {
		<-s.begun
	}
	if got := server.Serves("/free"); got != 200 {
		t.Errorf("another request is answered %d, want 200", got)
	}
	proxytest.Eventually(t, func() bool {
		ts := &s.state.trials
		ts.mu.Lock()
		defer ts.mu.Unlock()
		return len(ts.waiting) == maxWaiting
	}, "fewer requests wait than may")
	if r := server.Raw(asking("ada", "wrong")); !strings.HasPrefix(r, "HTTP/1.1 503 ") || !strings.Contains(r, "\r\nRetry-After: 1\r\n") {
		t.Errorf(`one more is answered %.200q, want "HTTP/1.1 503 " at its beginning and %q in it`, r, "\r\nRetry-After: 1\r\n")
	}
	if n := int(s.calls.Load()); n != places() {
		t.Errorf("%d checks run at once", n)
	}
	if n := runtime.NumGoroutine(); n > before+places()+20 {
		t.Errorf("%d goroutines, %d before; want at most %d", n, before, before+places()+20)
	}
	server.Log.Wait(t, "128 requests of all clients, or 16 of this one, wait")
	close(s.open)
	for _, nc := range all {
		if r, err := io.ReadAll(nc); !strings.HasPrefix(string(r), "HTTP/1.1 401 ") || err != nil {
			t.Fatalf(`got %q, %v; want "HTTP/1.1 401 " at its beginning`, r, err)
		}
	}
}

func TestAPasswordThatHasPassedIsNotHashedAgain(t *testing.T) {
	s := newSlow()
	server := s.start(t)
	close(s.open)
	for _, c := range []struct {
		user, password string
		status         int
		calls          int32
	}{
		{"ada", "wrong", 401, 1}, {"ada", "secret", 200, 2}, {"ada", "secret", 200, 2}, {"ada", "wrong", 401, 3}, {"ada", "secret\x00", 401, 4}, {"ada", "", 401, 5}, {"ada", "secret", 200, 5},
		{"eve", "secret", 401, 6}, {"eve", "wrong", 401, 7},
	} {
		r := server.Raw(asking(c.user, c.password))
		if !strings.HasPrefix(r, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || s.calls.Load() != c.calls {
			t.Errorf("%+v: %d checks, %.20q; want %d", c, s.calls.Load(), r, c.calls)
		}
	}
}

func TestEqualPasswordsThatWaitAreHashedOnce(t *testing.T) {
	s := newSlow()
	var ts trials
	e := s.entry("secret")
	var all []*trial
	for range places() + 20 {
		tr := &trial{entry: e, password: "secret"}
		if !ts.begin(tr) {
			t.Fatal("it is refused")
		}
		all = append(all, tr)
	}
	for range places() {
		<-s.begun
	}
	close(s.open)
	ts.stop(t.Context())
	for i, tr := range all {
		if !tr.done.Load() || !tr.passed {
			t.Errorf("the check %d has not passed", i)
		}
	}
	if n := int(s.calls.Load()); n != places() {
		t.Errorf("hashed %d times, want %d", n, places())
	}
}

func TestOneClientDoesNotKeepOthersOut(t *testing.T) {
	s := newSlow()
	var ts trials
	defer ts.stop(t.Context())
	defer close(s.open)
	e := s.entry("secret")
	for i := range places() + maxOfOne + 10 {
		if got, want := ts.begin(&trial{entry: e, client: "one"}), i < places()+maxOfOne; got != want {
			t.Errorf("request %d waits: %v; want %v", i, got, want)
		}
	}
	for i := range maxWaiting - maxOfOne + 10 {
		if got, want := ts.begin(&trial{entry: e, client: fmt.Sprint(i)}), i < maxWaiting-maxOfOne; got != want {
			t.Errorf("the request of client %d waits: %v; want %v", i, got, want)
		}
	}
}

func TestTheEndDoesNotWaitForeverForAHash(t *testing.T) {
	s := newSlow()
	var ts trials
	ts.begin(&trial{entry: s.entry("x")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ts.stop(ctx)
	close(s.open)
	ts.stop(t.Context())
	ts.stop(t.Context())
}

func TestADelayOfARefusalDelaysNoOtherAndEndsWithItsClient(t *testing.T) {
	server := newSlow().start(t)
	nc := server.Dial("")
	io.WriteString(nc, "GET /delayed HTTP/1.1\r\nHost: x\r\n\r\n")
	server.Log.Wait(t, "delaying unauthorized request")
	if got := server.Serves("/free"); got != 200 {
		t.Errorf("another request is answered %d, want 200", got)
	}
	nc.Close()
	proxytest.Eventually(t, func() bool { return server.Engine.Connections() == 0 }, "it waits on")
}

func TestAnUnknownUserCostsTheDearestEntry(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	for text, want := range map[string]string{
		"a:{PLAIN}x\nb:$apr1$ZoSgbp7.$OMXVP2ndix7jWj/U6IyJH/\n":                                                                          "$apr1$",
		"b:$apr1$a$b\na:$6$a$b\nc:$1$a$b\n":                                                                                              "$6$",
		"a:$6$rounds=100000$a$b\nb:$2y$05$JECVlu5mYDn9I8eZDwPn.Onxr1xBBiJ/zkW2qYoBDw4c5BCu.MDPK\n":                                       "$6$",
		"a:$6$rounds=1000$a$b\nb:$2y$05$JECVlu5mYDn9I8eZDwPn.Onxr1xBBiJ/zkW2qYoBDw4c5BCu.MDPK\n":                                         "$2y$05$",
		"a:$2y$04$JECVlu5mYDn9I8eZDwPn.Onxr1xBBiJ/zkW2qYoBDw4c5BCu.MDPK\nb:$2y$10$JECVlu5mYDn9I8eZDwPn.Onxr1xBBiJ/zkW2qYoBDw4c5BCu.MDPK": "$2y$10$",
		"a:{SHA}x\n": "{SHA}",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		tab, err := readTable(path)
		if err != nil || tab.dearest == nil || !strings.HasPrefix(tab.dearest.hash, want) {
			t.Errorf("%q: %+v, %v; want %q as the dearest", text, tab, err, want)
		}
	}
}

func TestTheClientIsItsNetwork(t *testing.T) {
	var got []string
	look := proxy.Module{Name: "look", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			got = append(got, fmt.Sprintf("%x", clientOf(x)))
			return x.Res.Reply(200, "text/plain", nil)
		}))
		return nil
	}}
	server := proxytest.New(t, proxytest.Config{Modules: []proxy.Module{look}, Text: "server { listen 80; location / { } }"})
	for _, remote := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2:3::4", "127.0.0.1", "::1", "unix:"} {
		server.Do(proxytest.Request{Remote: remote})
	}
	if want := []string{"c0000201", "c0000201", "20010db800010002", "", "", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
