package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/appserver"
	"alicorn/appserver/pool"
	"alicorn/config"
	"alicorn/proxy"
)

const patience = 60 * time.Second

// fixture is a Keeper that serves a Client of this process.
type fixture struct {
	*Keeper
	client *Client
	dir    string
	main   string
	before atomic.Pointer[func()] // called before each reading; nil: nothing is
}

// newFixture keeps the configuration text; DIR in it is a folder.
func newFixture(t *testing.T, text string) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	for _, d := range []string{f.dir, filepath.Dir(f.dir)} { // workers are another user's
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f.main = filepath.Join(f.dir, "alicorn.conf")
	f.configure(t, text)
	f.Keeper = New(Options{
		Host: &Local{}, Program: json.RawMessage(`"told"`), Stop: 1, StopNow: 2, Reopen: 3,
		Read: f.compile, Control: func(bool) (*os.File, error) { return nil, errors.New("no control socket") },
	})
	first, err := f.read()
	if err != nil {
		t.Fatal(err)
	}
	f.pending, f.unseen = first, first
	x, y, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWire(x)
	if err != nil {
		t.Fatal(err)
	}
	if f.client, err = NewClient(y); err != nil {
		t.Fatal(err)
	}
	f.front = w
	served, received := make(chan struct{}), make(chan struct{})
	go func() { defer close(served); f.serve(w) }()
	go func() { defer close(received); f.client.Run() }()
	t.Cleanup(func() {
		f.client.w.Close()
		<-received
		<-served
		w.Close()
		f.calls.Wait()
		f.killWorkers()
		f.end()
	})
	return f
}

func (f *fixture) configure(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(f.main, []byte(strings.ReplaceAll(text, "DIR", f.dir)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// keyDirective stands for what reads a key, looks a host up and opens a log.
func keyDirective() proxy.Module {
	k := config.NewKey(func() struct{} { return struct{}{} })
	return proxy.Module{Name: "key", Settings: k, Directives: []config.Directive{
		{Name: "key", In: config.Main, Args: config.OneArg, Help: "reads a file", Set: func(s *config.Scope, n *config.Node) error {
			_, err := s.Load().Resources.Host.ReadFile(n.Arg(0))
			return err
		}},
		{Name: "host", In: config.Main, Args: config.OneArg, Help: "looks a host up", Set: func(s *config.Scope, n *config.Node) error {
			_, err := s.Load().Resources.Host.LookUp(n.Arg(0))
			return err
		}},
		{Name: "log", In: config.Main, Args: config.OneArg, Help: "opens a log", Set: func(s *config.Scope, n *config.Node) error {
			r := s.Load().Resources
			_, err := config.Hold(r, "log "+n.Arg(0), func() (*os.File, error) { return r.Host.Append(n.Arg(0)) })
			return err
		}},
	}}
}

func (f *fixture) compile(res *config.Resources) (*Reading, error) {
	if before := f.before.Load(); before != nil {
		(*before)()
	}
	tree, err := config.LoadFile(f.main, config.OS(), "")
	if err != nil {
		return nil, err
	}
	mods := []proxy.Module{proxy.NewCore(proxy.Options{}), keyDirective(), appserver.Module(appserver.NewRuntime(appserver.Options{}), nil)}
	schema := config.NewSchema()
	proxy.Register(schema, mods)
	l := &config.Load{Schema: schema, Resources: res, Prefix: f.dir, ConfDir: f.dir}
	proxy.Declare(l, mods)
	main := l.Read(tree.Root)
	g, err := proxy.Compile(l, main, mods)
	if err != nil {
		return nil, err
	}
	return &Reading{Main: f.main, Tree: tree, Generation: g, Apps: appserver.Apps(main)}, nil
}

const fixtureText = `
key DIR/key.pem; log DIR/made/access.log;
app web { wsgi app:app; directory DIR; python /usr/bin/python3; }
server { listen unix:DIR/web.sock; location / { app_pass web; } }
`

func withKey(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(key, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return newFixture(t, strings.ReplaceAll(fixtureText, "DIR/key.pem", key))
}

func TestTheFrontGetsTheConfigurationAsTheKeeperReadIt(t *testing.T) {
	t.Parallel()
	f := withKey(t)
	var told string
	tree, err := f.client.Read(nil, &told)
	if err != nil {
		t.Fatal(err)
	}
	if told != "told" || len(tree.Root.Children) != 4 || tree.Root.Children[0].Pos.File != f.main {
		t.Errorf(`told %q, %d directives, the first at %s; want "told", 4 and File %v`, told, len(tree.Root.Children), tree.Root.Children[0].Pos, f.main)
	}
}

func TestTheFrontGetsOnlyWhatTheConfigurationNames(t *testing.T) {
	t.Parallel()
	f := withKey(t)
	named := f.pending.Tree.Root.Children[0].Arg(0)
	if text, err := f.client.ReadFile(named); err != nil || string(text) != "secret" {
		t.Errorf(`the key: %q, %v; want "secret"`, text, err)
	}
	log, err := f.client.Append(filepath.Join(f.dir, "made/access.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.WriteString("line\n"); err != nil {
		t.Error(err)
	}
	l, err := f.client.Listen("unix", filepath.Join(f.dir, "web.sock"), config.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for what, ask := range map[string]func() error{
		"a file":           func() error { _, err := f.client.ReadFile("/etc/shadow"); return err },
		"a log as a file":  func() error { _, err := f.client.ReadFile(filepath.Join(f.dir, "made/access.log")); return err },
		"a log":            func() error { _, err := f.client.Append(filepath.Join(f.dir, "other.log")); return err },
		"a file as a log":  func() error { _, err := f.client.Append(named); return err },
		"an address":       func() error { _, err := f.client.Listen("tcp4", "127.0.0.1:1", config.ListenOptions{}); return err },
		"an app":           func() error { _, err := f.client.For("other")(pool.Order{Number: 1}); return err },
		"a control socket": func() error { _, err := f.client.Control(false); return err },
		"the unknown":      func() error { _, err := f.client.call(&message{Kind: "format disks"}); return err },
	} {
		if err := ask(); err == nil {
			t.Errorf("the front got %s that no configuration names", what)
		}
	}
	if _, err := os.Stat(filepath.Join(f.dir, "other.log")); err == nil {
		t.Error("a log that no configuration names was made")
	}
}

// Files and name servers may not be there any more when a front comes up in place of one
// that has crashed.
func TestTheFrontGetsWhatTheKeeperHasFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "host localhost; server { listen unix:DIR/one.sock; }")
	found, err := f.client.LookUp("localhost")
	if err != nil || len(found) == 0 || !found[0].IsLoopback() {
		t.Errorf("localhost: %v, %v; want a loopback address", found, err)
	}
	if found, err := f.client.LookUp("other.localhost"); err == nil {
		t.Errorf("a host that the configuration does not name: %v", found)
	}
	f = withKey(t)
	key := f.pending.Tree.Root.Children[0].Arg(0)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if text, err := f.client.ReadFile(key); err != nil || string(text) != "secret" {
		t.Errorf(`the key: %q, %v; want "secret"`, text, err)
	}
}

func TestAReadingThatDoesNotServeIsForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "server { listen unix:DIR/one.sock; }")
	f.load(t)
	f.configure(t, "server { listen unix:DIR/one.sock; listen unix:DIR/two.sock; }")
	if _, err := f.client.Read(nil, new(string)); err != nil {
		t.Fatal(err)
	}
	exists := func(name string) bool { _, err := os.Stat(filepath.Join(f.dir, name)); return err == nil }
	if !exists("two.sock") {
		t.Fatal("the new address was not bound")
	}
	f.client.Settle(false)
	f.configure(t, "serve { }")
	if _, err := f.client.Read(nil, new(string)); err == nil || !strings.Contains(err.Error(), f.main+":1:1: unknown directive") {
		t.Errorf("a mistake is told as %v, want an error with %q", err, f.main+":1:1: unknown directive")
	}
	if exists("two.sock") || !exists("one.sock") {
		t.Errorf("one.sock %v, two.sock %v; want the first only", exists("one.sock"), exists("two.sock"))
	}
	f.configure(t, "server { listen unix:DIR/three.sock; }")
	f.load(t)
	if _, err := f.client.Listen("unix", filepath.Join(f.dir, "one.sock"), config.ListenOptions{}); err == nil {
		t.Error("an address that no configuration has any more was given out")
	}
	if exists("one.sock") || !exists("three.sock") {
		t.Errorf("one.sock %v, three.sock %v; want the last only", exists("one.sock"), exists("three.sock"))
	}
}

func TestALongAnswerArrivesWhole(t *testing.T) {
	t.Parallel()
	word := strings.Repeat("x", 40<<10)
	for _, tc := range []struct{ name, text, want string }{
		{"many mistakes", strings.Repeat("serve { }\n", 300), ":300:1: unknown directive"},
		{"a long word", word + ";", "word is longer than"},
		{"long words", "server { server_name " + strings.Repeat(word[:16000]+" ", 3) + "; listn; }", "unknown directive"},
		{"a long file", "server { listen unix:DIR/long.sock; }\n#" + strings.Repeat(word, 8), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "server { listen unix:DIR/one.sock; }")
			f.load(t)
			f.configure(t, tc.text)
			_, err := f.client.Read(nil, new(string))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("the front is told %.200v, want %.50q", err, tc.want)
			}
		})
	}
}

// load has the front read the configuration, and serve it.
func (f *fixture) load(t *testing.T) {
	t.Helper()
	if _, err := f.client.Read(nil, new(string)); err != nil {
		t.Fatal(err)
	}
	f.client.Settle(true)
}

// block makes readings wait until the returned function is called; held
// receives when one waits.
func (f *fixture) block() (held chan struct{}, release func()) {
	held, hold := make(chan struct{}, 1), make(chan struct{})
	wait := func() {
		held <- struct{}{}
		<-hold
	}
	f.before.Store(&wait)
	return held, func() { close(hold) }
}

func awaitError(t *testing.T, what string, ch <-chan error) error {
	t.Helper()
	select {
	case err := <-ch:
		return err
	case <-time.After(patience):
		t.Fatalf("%s does not end", what)
		return nil
	}
}

// What was read for a front that is gone takes nothing along.
func TestAReadingForAFrontThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "server { listen unix:DIR/one.sock; }")
	f.load(t)
	f.configure(t, "server { listen unix:DIR/two.sock; }")
	held, release := f.block()
	asked := make(chan error, 1)
	go func() { _, err := f.readForFront(f.front); asked <- err }()
	<-held
	f.mu.Lock()
	f.front = nil
	f.mu.Unlock()
	release()
	if err := awaitError(t, "the reading", asked); err == nil {
		t.Error("a front that is gone was given a configuration")
	}
	if pending, _ := f.readings(); pending != nil {
		t.Error("the configuration waits for a front that is gone")
	}
	if _, err := os.Stat(filepath.Join(f.dir, "two.sock")); err == nil {
		t.Error("its socket is left behind")
	}
}

func TestAnAnswerThatCannotBeSentSaysSo(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	k := New(Options{})
	defer k.reserve.Close()
	go k.reply(a, &message{ID: 7, Body: make([]byte, maxMessage)})
	m, _, err := b.read()
	if err != nil || m.ID != 7 || m.Kind != answer || !strings.Contains(m.Failure.err().Error(), "cannot send the answer: ") {
		t.Errorf(`received %+v, %v; want ID 7, Kind %v and "cannot send the answer: " in it`, m, err, answer)
	}
}

func TestAFrontThatReadsNothingLosesItsWire(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.idle = time.Millisecond
	k := New(Options{})
	defer k.reserve.Close()
	k.reply(a, &message{ID: 7, Body: make([]byte, 8<<20)})
	for err := error(nil); ; {
		if _, _, err = b.read(); err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDescriptorsThatAreLostFailTheCallAlone(t *testing.T) {
	t.Parallel()
	x, y, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(y)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- c.Run() }()
	w, err := newWire(x)
	if err != nil {
		t.Fatal(err)
	}
	// As if the system had kept the descriptors back.
	go func() {
		for _, answers := range []string{`"files":1`, `"files":1`, `"body":"aGVyZQ=="`} {
			m, _, err := w.read()
			if err == nil {
				err = w.datagram(fmt.Appendf([]byte{firstPart | lastPart}, `{"kind":"answer","id":%d,%s}`, m.ID, answers), nil)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
	if _, err := c.Append("/x.log"); !Exhausted(err) { // asked twice: the second time with the reserve
		t.Errorf("a log without its descriptor gives %v", err)
	}
	if text, err := c.ReadFile("/x"); err != nil || string(text) != "here" {
		t.Errorf(`the next call gives %q, %v; want "here"`, text, err)
	}
	w.Close()
	awaitError(t, "Run", ran)
}

func TestCallsFailWhenTheKeeperIsGone(t *testing.T) {
	t.Parallel()
	x, y, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(y)
	if err != nil {
		t.Fatal(err)
	}
	defer c.w.Close()
	asked := make(chan error, 1)
	go func() { _, err := c.ReadFile("/x"); asked <- err }()
	ran := make(chan error, 1)
	go func() { ran <- c.Run() }()
	w, err := newWire(x)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.read(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for name, ch := range map[string]chan error{"a call": asked, "Run": ran} {
		select {
		case err := <-ch:
			if err == nil {
				t.Errorf("%s ended without an error", name)
			}
		case <-time.After(patience):
			t.Fatalf("%s did not end", name)
		}
	}
	if _, err := c.Append("/x"); !errors.Is(err, errKeeperGone) {
		t.Errorf("a later call gives %v, want %v", err, errKeeperGone)
	}
}
