package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// load is one run of wrk.
type load struct {
	url         string
	connections int
	duration    time.Duration // rounded up to whole seconds, wrk's unit
	script      string        // Lua file, or empty for plain GET
}

// wrkResult is what wrk reports of a run.
type wrkResult struct {
	requests int
	rate     float64 // requests a second
	p50, p99 time.Duration
	errors   []string // wrk's own lines about socket errors and statuses
}

// run drives the load with one thread of wrk.
func (l load) run(ctx context.Context) (wrkResult, error) {
	seconds := int((l.duration + time.Second - 1) / time.Second)
	args := []string{
		"--threads", "1", "--connections", strconv.Itoa(l.connections),
		"--duration", strconv.Itoa(seconds) + "s", "--timeout", "30s", "--latency",
	}
	if l.script != "" {
		args = append(args, "--script", l.script)
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, l.url)...).CombinedOutput()
	if err != nil {
		return wrkResult{}, fmt.Errorf("cannot run wrk: %w\n%s", err, out)
	}
	return parseWrk(string(out))
}

// parseWrk reads wrk's report, which must hold everything that wrkResult does.
func parseWrk(out string) (wrkResult, error) {
	var r wrkResult
	var found int
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		ok, err := r.parseLine(strings.TrimSpace(line), words)
		if err != nil {
			return r, fmt.Errorf("cannot read %q of wrk: %w", strings.TrimSpace(line), err)
		}
		if ok {
			found++
		}
	}
	if found != 4 {
		return r, fmt.Errorf("cannot read wrk's report: found %d of 4 figures in\n%s", found, out)
	}
	return r, nil
}

// parseLine takes one line and reports whether it held a figure.
func (r *wrkResult) parseLine(line string, words []string) (ok bool, err error) {
	switch {
	case words[0] == "50%":
		r.p50, err = time.ParseDuration(words[1])
	case words[0] == "99%":
		r.p99, err = time.ParseDuration(words[1])
	case words[1] == "requests" && len(words) > 2 && words[2] == "in":
		r.requests, err = strconv.Atoi(words[0])
	case words[0] == "Requests/sec:":
		r.rate, err = strconv.ParseFloat(words[1], 64)
	case strings.HasPrefix(line, "Socket errors:"), strings.HasPrefix(line, "Non-2xx"):
		r.errors = append(r.errors, line)
		return false, nil
	default:
		return false, nil
	}
	return true, err
}
