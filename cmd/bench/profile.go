package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// profileCases are those that a build is optimized for: what a site with one Python
// application serves.
const profileCases = "static-1k,static-100k,tls,handshake,hello,10k,upload,flask-json,asgi-hello,asgi-10k,asgi-upload,events,websocket," +
	"proxy-hello-*,proxy-10k-*,gateway-hello-*,gateway-10k-*"

// runProfile writes where the front spends its time in the cases, for the Go compiler, which
// optimizes the program by it (go.dev/doc/pgo).
func runProfile(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("profile", flag.ContinueOnError)
	out := flags.String("o", "cmd/alicorn/default.pgo", "the `file` to write")
	cases := flags.String("cases", profileCases, "`names` of cases, separated by commas")
	connections := flags.String("connections", "32", "`numbers` of connections, separated by commas")
	duration := flags.Duration("duration", 4*time.Second, "how long each case runs, in whole seconds")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if *duration < time.Second {
		return errors.New("-duration must be at least 1s")
	}
	c := &comparison{args: args, rounds: 1, duration: *duration, progress: os.Stderr}
	if c.cases, err = chooseCases(*cases); err != nil {
		return err
	}
	if c.connections, err = parseNumbers(*connections); err != nil {
		return err
	}
	if c.site, err = newSite(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.site.dir)) }()
	folder := filepath.Join(c.site.dir, "profiles")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	a := newAlicorn(c.site.dir)
	a.flags = []string{"-trimpath", "-tags", "profile", "-ldflags", "-X main.profileFolder=" + folder}
	c.peers = []peer{a.peer()}
	tables, err := c.run(ctx)
	if err != nil {
		return err
	}
	if failures := failures(tables); len(failures) > 0 {
		return fmt.Errorf("requests failed: %s", failures)
	}
	return mergeProfiles(folder, *out)
}

// mergeProfiles writes the sum of the profiles in folder to the file out.
func mergeProfiles(folder, out string) error {
	parts, err := filepath.Glob(filepath.Join(folder, "*.prof"))
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return errors.New("no front has written a profile")
	}
	var stderr bytes.Buffer
	cmd := exec.Command("go", append([]string{"tool", "pprof", "-proto", "-symbolize=none"}, parts...)...)
	cmd.Stderr = &stderr
	sum, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("cannot merge %d profiles: %w\n%s", len(parts), err, stderr.Bytes())
	}
	return os.WriteFile(out, sum, 0o644)
}
