package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Client speaks to one running server.
type Client struct {
	Socket string
	http   http.Client
}

// NewClient returns a Client for a socket; it connects with the first call.
func NewClient(socket string) *Client {
	c := &Client{Socket: socket}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(nc, greeting(socket)); err != nil {
			nc.Close()
			return nil, err
		}
		return nc, nil
	}}
	return c
}

// Running returns a Client for each server with a socket in dir that answers, and an
// error for each that does not. It does not remove a socket without a server: a
// server that is just starting may have replaced it.
func Running(ctx context.Context, dir string) (answering []*Client, others []error) {
	paths, _ := filepath.Glob(filepath.Join(dir, "control-*.sock"))
	for _, p := range paths {
		c := NewClient(p)
		switch _, err := c.Status(ctx); {
		case err == nil:
			answering = append(answering, c)
		case !errors.Is(err, ErrNotRunning):
			others = append(others, err)
		}
	}
	return answering, others
}

// Status asks for the server's state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, silence, fmt.Errorf("the server has not answered on %s for %s", c.Socket, silence))
	defer cancel()
	var st Status
	body, err := c.request(ctx, http.MethodGet, "/status")
	if err == nil {
		err = json.Unmarshal(body, &st)
	}
	return st, err
}

// Certificates asks for the state of automatic certificates.
func (c *Client) Certificates(ctx context.Context) ([]Certificate, error) {
	var all []Certificate
	body, err := c.call(ctx, http.MethodGet, "/certificates")
	if err == nil {
		err = json.Unmarshal(body, &all)
	}
	return all, err
}

// Post asks for an action: "/reload", "/reopen", "/stop", "/scale?by=1". It returns
// the server's error.
func (c *Client) Post(ctx context.Context, path string) error {
	_, err := c.call(ctx, http.MethodPost, path)
	return err
}

// Reload asks for a reload. When only some applications have failed it returns the
// fates of all, and an error.
func (c *Client) Reload(ctx context.Context, o Reload) ([]Fate, error) {
	q := url.Values{"app": o.Apps}
	if o.All {
		q.Set("all", "1")
	}
	if o.AllOrNothing {
		q.Set("all_or_nothing", "1")
	}
	body, err := c.call(ctx, http.MethodPost, "/reload?"+q.Encode())
	var failed *failedError
	if errors.As(err, &failed) {
		return failed.apps, err
	}
	var apps []Fate
	if err == nil {
		err = json.Unmarshal(body, &apps)
	}
	return apps, err
}

// failedError is the server's answer about an action that failed.
type failedError struct {
	text string
	apps []Fate
}

// Error returns the server's text.
func (e *failedError) Error() string { return e.text }

// dialError is returned when the socket takes no connection. It is ErrNotRunning
// unless there is a server.
type dialError struct {
	socket string
	op     *net.OpError
}

// Error returns the text of ErrNotRunning, or why the server cannot be asked.
func (e *dialError) Error() string {
	switch {
	case e.nobody():
		return ErrNotRunning.Error()
	case errors.Is(e.op, fs.ErrPermission):
		return fmt.Sprintf("no permission to use control socket %s: only the server's own user and root can", e.socket)
	}
	return fmt.Sprintf("the server does not answer on %s: %s", e.socket, e.op.Err)
}

// nobody reports whether no server listens on the socket. Other causes are a missing
// permission, too many waiting connections, and a lack of descriptors here.
func (e *dialError) nobody() bool {
	for _, there := range []error{fs.ErrPermission, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, os.ErrDeadlineExceeded} {
		if errors.Is(e.op, there) {
			return false
		}
	}
	return true
}

// Unwrap returns the system's error and, without a server, ErrNotRunning.
func (e *dialError) Unwrap() []error {
	if e.nobody() {
		return []error{ErrNotRunning, e.op}
	}
	return []error{e.op}
}

// ErrNotRunning means that no server answers on the socket.
var ErrNotRunning = errors.New("no server of this configuration is running")

// silence is the longest time that a working server takes to report its state.
const silence = 10 * time.Second

// call asks for an action that may take long, and gives up when the server no longer
// reports its state.
func (c *Client) call(ctx context.Context, method, path string) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() { c.watch(ctx, cancel) })
	return c.request(ctx, method, path)
}

// watch ends a call when the server is silent.
func (c *Client) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(silence)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := NewClient(c.Socket).Status(ctx); err != nil {
			cancel(err)
		}
	}
}

func (c *Client) request(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://alicorn"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	var op *net.OpError
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &op) && op.Op == "dial":
		return nil, &dialError{c.Socket, op}
	case err != nil:
		return nil, fmt.Errorf("cannot speak to the server: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		return body, nil
	}
	var f failure
	if json.Unmarshal(body, &f) == nil && f.Error != "" {
		return nil, &failedError{f.Error, f.Apps}
	}
	return nil, fmt.Errorf("the server answered %s", resp.Status)
}
