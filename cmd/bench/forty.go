package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// The kind forty: forty applications on one server. Five of them do not come up, and one
// is deployed each second. None may disturb another.
const (
	fortyApps   = 40
	fortyBroken = 5 // the first ones
	// fortyPause leaves the machine time for deploys: the load shows whether requests
	// fail, and must not use up the CPUs.
	fortyPause = 20 * time.Millisecond
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
func fortyShape(_ *chaos, s *site) error {
	user := ""
	if os.Geteuid() == 0 {
		user = " user nobody;"
	}
	var apps, locations strings.Builder
	for n := range fortyApps {
		fmt.Fprintf(&apps, "app %s { wsgi app:app; directory %s; python /usr/bin/python3; workers 1;%s }\n", fortyName(n), fortyFolder(s, n), user)
		fmt.Fprintf(&locations, "    location = /%d { app_pass %s; }\n", n, fortyName(n))
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
	return nil
}

func fortyFolder(s *site, n int) string { return filepath.Join(s.dir, "forty", fmt.Sprint(n)) }

// newHosts are the virtual hosts that reloads add.
type newHosts struct {
	limit time.Duration   // until one must be served; 0: any time
	took  []time.Duration // of each, from the start of its reload to its first answer
}

// deployOne adds a virtual host, then deploys one application that works.
func deployOne(ctx context.Context, c *chaos, s *server) error {
	if err := c.hosts.add(ctx, s); err != nil {
		return fmt.Errorf("cannot add a virtual host: %w", err)
	}
	n := fortyBroken + c.random.IntN(fortyApps-fortyBroken)
	now := time.Now()
	if err := os.Chtimes(filepath.Join(filepath.Dir(s.dir), "forty", fmt.Sprint(n), "app.py"), now, now); err != nil {
		return err
	}
	if err := reloadForty(ctx, s, fortyName(n)); err != nil {
		return fmt.Errorf("cannot deploy %s: %w", fortyName(n), err)
	}
	return nil
}

// add adds a virtual host and measures when it is served. No worker is replaced.
func (h *newHosts) add(ctx context.Context, s *server) error {
	name := fmt.Sprintf("host%d.test", len(h.took))
	file, err := os.OpenFile(s.verbs.file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "server { listen %s; server_name %s; access_log off; return 200 %s; }\n", s.addr, name, name)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	started := time.Now()
	reloaded := make(chan error, 1)
	go func() { reloaded <- reloadForty(ctx, s, "") }()
	for {
		status, body, err := answerOfHost(ctx, s.addr, name)
		if err == nil && status == http.StatusOK && body == name {
			h.took = append(h.took, time.Since(started))
			return <-reloaded
		}
		if !sleep(ctx, time.Millisecond) {
			return errors.Join(fmt.Errorf("%s is not served: status %d, %.60q, %v", name, status, body, err), <-reloaded)
		}
	}
}

// answerOfHost asks for a virtual host over a connection of its own.
func answerOfHost(ctx context.Context, addr, host string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = host
	return oneAnswer(request)
}

// reloadForty reloads, and checks what the reload has done and says: the named application
// has new workers ("": none has), all others keep theirs. The exit status must be 1, because
// some applications do not come up.
func reloadForty(ctx context.Context, s *server, deployed string) error {
	before, err := s.verbs.status(ctx)
	if err != nil {
		return err
	}
	out, err := s.verbs.run(ctx, "reload")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		return fmt.Errorf("the reload ended with %v, not with status 1", err)
	}
	if err := fortyFates(string(out), deployed); err != nil {
		return fmt.Errorf("%w:\n%s", err, out)
	}
	after, err := s.verbs.status(ctx)
	if err != nil {
		return err
	}
	return workersKept(before.ready(), after.ready(), deployed)
}

// fortyFates compares what a reload says of each application with what must become of it.
func fortyFates(out, deployed string) error {
	want := map[string]string{"bench": "kept"}
	for n := range fortyApps {
		want[fortyName(n)] = "kept"
		if n < fortyBroken {
			want[fortyName(n)] = "failed"
		}
	}
	if deployed != "" {
		want[deployed] = "replaced"
	}
	if got := fatesIn(out); !maps.Equal(got, want) {
		for name, fate := range want {
			if got[name] != fate {
				return fmt.Errorf("the reload says that %s is %q, not %q", name, got[name], fate)
			}
		}
		return fmt.Errorf("the reload names %d applications, want %d", len(got), len(want))
	}
	return nil
}

// fatesIn reads the lines of a reload, such as "kept      a, b" and "replaced  c: why".
func fatesIn(out string) map[string]string {
	fates := make(map[string]string)
	for line := range strings.Lines(out) {
		fate, apps, _ := strings.Cut(strings.TrimSpace(line), " ")
		apps, _, _ = strings.Cut(apps, ": ")
		for _, name := range fields(apps) {
			fates[name] = fate
		}
	}
	return fates
}

// workersKept compares the pids of each application's workers before and after: those of
// the deployed application are new, all others' are equal.
func workersKept(before, after map[string][]int, deployed string) error {
	for name, pids := range before {
		switch kept := slices.Equal(pids, after[name]); {
		case name == deployed && kept:
			return fmt.Errorf("%s was deployed and has the same workers %v", name, pids)
		case name != deployed && !kept:
			return fmt.Errorf("%s was not deployed and has the workers %v, before %v", name, after[name], pids)
		}
	}
	return nil
}

func fortyName(n int) string { return fmt.Sprintf("app%d", n) }

// allForty asks every application until ctx ends. An application that works names itself;
// for a broken one the answer is 503.
func allForty(ctx context.Context, _ *chaos, s *server) error {
	var (
		wg sync.WaitGroup
		f  faults
	)
	for n := range fortyApps {
		wg.Go(func() {
			for ctx.Err() == nil {
				f.add(askOne(s.addr, n))
				sleep(ctx, 50*time.Millisecond)
			}
		})
	}
	wg.Wait()
	return f.verdict("requests to the forty")
}

func askOne(addr string, n int) error {
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%d", addr, n), nil)
	if err != nil {
		return err
	}
	status, body, err := oneAnswer(request)
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
func oneAnswer(request *http.Request) (status int, body string, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: requestDeadline}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// fortyWorkers returns how many workers the forty have.
func fortyWorkers(*chaos) int { return fortyApps - fortyBroken }

// hostsInTime judges how soon virtual hosts were served.
func hostsInTime(_ context.Context, c *chaos, _ *server) error {
	fmt.Printf("virtual hosts served after: %s\n", distribution(c.hosts.took))
	if n := len(c.hosts.took); n > 0 && c.hosts.limit > 0 && c.hosts.took[n-1] > c.hosts.limit {
		return fmt.Errorf("%w: a virtual host was served after %s, limit %v", errBroken, milliseconds(c.hosts.took[n-1]), c.hosts.limit)
	}
	return nil
}
