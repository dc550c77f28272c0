package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Forty applications on one server, of which five do not come up, and one is
// deployed each second: neither disturbs another.
const (
	fortyApps   = 40
	fortyBroken = 5 // the first ones
)

// fortyApp is the code of one application. It names itself.
const fortyApp = `import os
NAME = b"app %[1]d"
%[2]s
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(NAME)))])
    return [NAME]
`

// fortyShape writes the applications and the lines of configuration for them.
func fortyShape(_ *chaos, s *site) {
	user := ""
	if os.Geteuid() == 0 {
		user = " user nobody;"
	}
	var apps, locations strings.Builder
	for n := range fortyApps {
		fmt.Fprintf(&apps, "app app%d { wsgi app:app; directory %s; python /usr/bin/python3; workers 1;%s }\n", n, fortyFolder(s, n), user)
		fmt.Fprintf(&locations, "    location = /%d { app_pass app%d; }\n", n, n)
	}
	s.apps, s.locations = apps.String(), locations.String()
	s.prepare = func() error {
		var errs []error
		for n := range fortyApps {
			fault := ""
			if n < fortyBroken {
				fault = "import nothing_of_this_name"
			}
			dir := fortyFolder(s, n)
			errs = append(errs, os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "app.py"), fmt.Appendf(nil, fortyApp, n, fault), 0o644))
		}
		return errors.Join(errs...)
	}
}

func fortyFolder(s *site, n int) string { return filepath.Join(s.dir, "forty", fmt.Sprint(n)) }

// deployOne deploys one application that works. The reload reports those that
// are broken, and no other.
func deployOne(ctx context.Context, c *chaos, s *server) error {
	n := fortyBroken + c.random.IntN(fortyApps-fortyBroken)
	now := time.Now()
	if err := os.Chtimes(filepath.Join(filepath.Dir(s.dir), "forty", fmt.Sprint(n), "app.py"), now, now); err != nil {
		return err
	}
	out, err := s.verbs.run(ctx, "reload")
	text := string(out)
	if err != nil {
		text += err.Error()
	}
	fmt.Printf("deployed app %d in %s\n", n, time.Since(now).Round(time.Millisecond))
	if !strings.Contains(text, fmt.Sprintf("app%d", n)) {
		return fmt.Errorf("the reload does not say what became of app%d: %s", n, text)
	}
	for k := fortyBroken; k < fortyApps; k++ {
		if strings.Contains(text, fmt.Sprintf("app \"app%d\" did not come up", k)) {
			return fmt.Errorf("app%d, which works, did not come up: %s", k, text)
		}
	}
	return nil
}

// allForty asks every application until ctx ends: those that work answer as
// themselves, those that are broken with 503.
func allForty(ctx context.Context, _ *chaos, s *server) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		broken []error
		done   int
	)
	for n := range fortyApps {
		wg.Go(func() {
			for ctx.Err() == nil {
				err := askOne(s.addr, n)
				mu.Lock()
				if done++; err != nil && len(broken) < 10 {
					broken = append(broken, err)
				}
				mu.Unlock()
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	fmt.Printf("requests to the forty: %d, %d wrong\n", done, len(broken))
	if len(broken) > 0 {
		return fmt.Errorf("%w: %w", errBroken, errors.Join(broken...))
	}
	return nil
}

func askOne(addr string, n int) error {
	status, body, err := oneAnswer(fmt.Sprintf("http://%s/%d", addr, n))
	want, text := 200, fmt.Sprintf("app %d", n)
	if n < fortyBroken {
		want, text = 503, body
	}
	if err != nil || status != want || body != text {
		return fmt.Errorf("app %d answered %d with %.60q, %v", n, status, body, err)
	}
	return nil
}

// oneAnswer asks over a connection of its own.
func oneAnswer(url string) (status int, body string, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: requestDeadline}
	response, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func fortyLeft(ctx context.Context, c *chaos, s *server) error {
	return onlyWorkers(ctx, s, c.workers+fortyApps-fortyBroken)
}
