package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fake is a server that notes what it is told.
type fake struct {
	calls  chan string
	reload error
}

func (f *fake) Status() Status {
	return Status{Version: "1", PID: 42, Config: "/x", Apps: []App{{Name: "web", Queue: 3}}}
}
func (f *fake) Reload(_ context.Context, o Reload) ([]Fate, error) {
	f.calls <- "reload"
	return []Fate{{App: fmt.Sprint(o.Apps, o.All, o.AllOrNothing), Fate: "kept"}}, f.reload
}
func (f *fake) Upgrade(context.Context) error { return nil }
func (f *fake) Certificates() []Certificate {
	return []Certificate{{Name: "shop.example.com", Issuers: []string{"one", "two"}, Error: "one: refused"}}
}
func (f *fake) RenewCertificate(_ context.Context, name string) error {
	f.calls <- "renew " + name
	return f.reload
}

func (f *fake) Reopen() error { f.calls <- "reopen"; return nil }
func (f *fake) Stop(now bool) {
	if now {
		f.calls <- "stop now"
	} else {
		f.calls <- "stop"
	}
}
func (f *fake) Scale(by int) { f.calls <- map[int]string{1: "more", -1: "fewer"}[by] }

// running serves f and returns a Client of it.
func running(t *testing.T, f *fake) *Client {
	t.Helper()
	path := SocketPath(filepath.Join(t.TempDir(), "run"), "/etc/alicorn/alicorn.conf")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, l, path, f) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return NewClient(path)
}

func TestTheClientGetsStatusAndActions(t *testing.T) {
	t.Parallel()
	f := &fake{calls: make(chan string, 1)}
	c := running(t, f)
	st, err := c.Status(t.Context())
	if err != nil || st.PID != 42 || len(st.Apps) != 1 || st.Apps[0].Queue != 3 {
		t.Errorf("status %+v, %v; want PID 42, 1 Apps and Queue 3", st, err)
	}
	if all, err := c.Certificates(t.Context()); err != nil || len(all) != 1 || all[0].Name != "shop.example.com" || len(all[0].Issuers) != 2 || all[0].Error == "" {
		t.Errorf("certificates %+v, %v; want shop.example.com alone, with 2 issuers and an error", all, err)
	}
	for path, want := range map[string]string{"/reload": "reload", "/reopen": "reopen", "/stop": "stop", "/stop?now=1": "stop now", "/certificates/renew?name=a.example": "renew a.example", "/scale?by=1": "more", "/scale?by=-1": "fewer"} {
		if err := c.Post(t.Context(), path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		select {
		case got := <-f.calls:
			if got != want {
				t.Errorf("%s does %q, want %q", path, got, want)
			}
		case <-time.After(60 * time.Second):
			t.Fatalf("%s does nothing", path)
		}
	}
	for _, path := range []string{"/scale?by=many", "/scale", "/scale?by=0", "/scale?by=2", "/scale?by=+1", "/scale?by=-9223372036854775809", "/stop?now=x", "/dance"} {
		if err := c.Post(t.Context(), path); err == nil {
			t.Errorf("%s succeeded", path)
		}
	}
}

func TestAFailedReloadIsToldInTheServersWords(t *testing.T) {
	t.Parallel()
	want := "/etc/alicorn/alicorn.conf:3:1: unknown directive \"sever\"\nand more"
	c := running(t, &fake{calls: make(chan string, 1), reload: errors.New(want)})
	if err := c.Post(t.Context(), "/reload"); err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestAReloadCarriesItsOptionsAndTheFates(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{nil, errors.New("app \"b\" did not come up")} {
		c := running(t, &fake{calls: make(chan string, 1), reload: failure})
		fates, err := c.Reload(t.Context(), Reload{Apps: []string{"a", "b"}, All: true, AllOrNothing: true})
		if len(fates) != 1 || fates[0] != (Fate{App: "[a b] true true", Fate: "kept"}) {
			t.Errorf(`fates %+v, want one, of "[a b] true true", which is kept`, fates)
		}
		if (err == nil) != (failure == nil) || err != nil && err.Error() != failure.Error() {
			t.Errorf("error %v, want %v", err, failure)
		}
	}
}

func TestTheSocketIsPrivateAndHasOneServer(t *testing.T) {
	t.Parallel()
	c := running(t, &fake{})
	st, err := os.Stat(c.Socket)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
	if l, err := Listen(c.Socket); err == nil {
		l.Close()
		t.Error("a second server took the socket")
	}
}

// Whoever has not begun with the name of the socket gets no action, but a sentence.
func TestTheSocketIsForThoseWhoMeanIt(t *testing.T) {
	t.Parallel()
	f := &fake{calls: make(chan string, 1)}
	c := running(t, f)
	own := greeting(c.Socket)
	request := "POST /stop HTTP/1.1\r\nHost: alicorn\r\nContent-Length: 0\r\n\r\n"
	for _, begin := range []string{"", "to: other.sock\n", strings.TrimSuffix(own, "\n") + "x\n", "TO" + own[2:], " " + own, own[:5], "\n", "\x00\x10\x00\x00"} {
		nc, err := net.Dial("unix", c.Socket)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(60 * time.Second))
		io.WriteString(nc, begin+request)
		answer, _ := io.ReadAll(nc) // the connection may end in a reset
		nc.Close()
		if text := string(answer); !strings.HasPrefix(text, "HTTP/1.1 421 ") || !strings.HasSuffix(text, refusal) {
			t.Errorf(`%q is answered with %q; want "HTTP/1.1 421 " at its beginning and %q at its end`, begin, text, refusal)
		}
	}
	led := filepath.Join(t.TempDir(), "led.sock")
	if err := os.Symlink(c.Socket, led); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(led).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "the request is not for it") {
		t.Errorf(`by a link: %v; want an error with "the request is not for it"`, err)
	}
	nc, err := net.Dial("unix", c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for i := range own { // in pieces
		io.WriteString(nc, own[i:i+1])
	}
	io.WriteString(nc, request)
	if got := <-f.calls; got != "stop" {
		t.Errorf(`it does %q, want "stop"`, got)
	}
	select {
	case got := <-f.calls:
		t.Errorf("a request for another does %q", got)
	default:
	}
}

func TestSocketsOfServersThatAreGoneAreLeftOut(t *testing.T) {
	t.Parallel()
	c := running(t, &fake{})
	dir := filepath.Dir(c.Socket)
	dead := SocketPath(dir, "/gone.conf")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	var names []string
	all, others := Running(t.Context(), dir)
	for _, r := range all {
		names = append(names, r.Socket)
	}
	if len(others) > 0 {
		t.Errorf("others: %v; want nothing", others)
	}
	if !slices.Equal(names, []string{c.Socket}) {
		t.Errorf("running: %v, want %s alone", names, c.Socket)
	}
	if _, err := NewClient(dead).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("error %v, want ErrNotRunning", err)
	}
}

// A verb that looks for servers while one starts must not take its socket for one
// that is left, and the name always is a socket that answers or is left.
func TestAServerThatStartsKeepsItsSocket(t *testing.T) {
	t.Parallel()
	path := SocketPath(filepath.Join(t.TempDir(), "run"), "/etc/alicorn/alicorn.conf")
	ended := make(chan struct{})
	var lookers sync.WaitGroup
	for range 3 {
		lookers.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					Running(t.Context(), filepath.Dir(path))
				}
			}
		})
	}
	for range 200 {
		l, err := Listen(path)
		if err != nil {
			t.Error(err)
			break
		}
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("the socket of a server that has started: %v, %v; want 0o600", st, err)
		}
		l.Close()
	}
	close(ended)
	lookers.Wait()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".new*")); len(left) > 0 {
		t.Errorf("there is %v still, want nothing", left)
	}
}

// A server that accepts nothing is there all the same: its socket stays, and
// nobody takes its place.
func TestAServerThatDoesNotAnswerIsNoServerThatIsGone(t *testing.T) {
	t.Parallel()
	path := SocketPath(t.TempDir(), "/hung.conf")
	hang(t, path)
	all, others := Running(t.Context(), filepath.Dir(path))
	if len(all) != 0 || len(others) != 1 || !strings.Contains(others[0].Error(), "the server does not answer on "+path) {
		t.Errorf("running: %v, others: %v; want nothing, one and %q in it", all, others, "the server does not answer on "+path)
	}
	if _, err := NewClient(path).Status(t.Context()); err == nil || errors.Is(err, ErrNotRunning) {
		t.Errorf("error %v, want another than ErrNotRunning", err)
	}
	if l, err := Listen(path); err == nil {
		l.Close()
		t.Error("another server took the socket")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// hang listens at path and accepts no connection.
func hang(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fd)
	t.Cleanup(func() { unix.Close(fd) })
	for range 100 { // until no more connections can wait
		nc, err := net.Dial("unix", path)
		if err != nil {
			return
		}
		t.Cleanup(func() { nc.Close() })
	}
	t.Fatal("connections wait without bound")
}

func TestSocketNamesTellConfigurationsApart(t *testing.T) {
	t.Parallel()
	a, b := SocketPath("/run/alicorn", "/a/alicorn.conf"), SocketPath("/run/alicorn", "/b/alicorn.conf")
	if a == b {
		t.Errorf("two configurations share %s", a)
	}
	long := SocketPath("/run/user/1000/alicorn", "serve "+strings.Repeat("127.0.0.1:8000 ", 20))
	if len(long) > 107 {
		t.Errorf("%s is too long for a socket, want at most 107 bytes", long)
	}
}
