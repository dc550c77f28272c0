package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"alicorn/appserver/pool"
	"alicorn/cmd/alicorn/control"
	"alicorn/proxy"
	"alicorn/proxy/logfile"
)

// troubleOf lists what fails although the server serves, each in one sentence with a
// remedy.
func troubleOf(st control.Status, now time.Time) (all []string) {
	for _, a := range st.Apps {
		if a.Error != "" && a.State == string(pool.Failed) {
			all = append(all, fmt.Sprintf("app %q is down: %s", a.Name, a.Error))
		} else if a.Error != "" {
			all = append(all, fmt.Sprintf("app %q runs, but the last start of a worker failed: %s", a.Name, a.Error))
		}
		for _, text := range []string{overran(a, now), died(a, now)} {
			if text != "" {
				all = append(all, fmt.Sprintf("app %q: %s", a.Name, text))
			}
		}
	}
	return append(all, serversTrouble(st, now)...)
}

// awaited lists the applications that a start waits for.
func awaited(st control.Status) (all []string) {
	for _, a := range st.Apps {
		if a.State == string(pool.Starting) {
			all = append(all, fmt.Sprintf("app %q is not ready yet; after startup_timeout the error log shows its stacks", a.Name))
		}
	}
	return all
}

// serversTrouble is troubleOf without the applications.
func serversTrouble(st control.Status, now time.Time) (all []string) {
	for _, f := range st.Failures {
		all = append(all, fmt.Sprintf("the last %s failed at %s: %s", f.What, moment(f.At), f.Error))
	}
	for _, u := range st.Upstreams {
		if text := unanswered(u, now); text != "" {
			all = append(all, text)
		}
	}
	for _, c := range st.Certificates {
		if c.Error != "" {
			all = append(all, fmt.Sprintf("certificate of %s fails: %s; see alicorn cert", c.Name, c.Error))
		}
	}
	for _, text := range st.Overdue {
		all = append(all, text+"; put a renewed one there and run \"alicorn reload\", or leave ssl_certificate out to have one obtained")
	}
	all = append(all, st.Barred...)
	if st.Refused != "" {
		all = append(all, st.Refused)
	}
	for _, dir := range st.Full {
		all = append(all, fmt.Sprintf("no space is left in %s, for requests, certificates and logs; \"df -h %[1]s\" and \"df -i %[1]s\" show the file system", dir))
	}
	for _, l := range st.Logs {
		if l.Failing {
			all = append(all, fmt.Sprintf("log %s cannot be written: %s; %s lost; \"df -h %s\" shows the space that is left",
				l.Path, l.Error, proxy.Count(l.Lost, "line"), filepath.Dir(l.Path)))
		}
	}
	return all
}

// toldFor is how long requests past their timeout, and workers that have ended, are reported.
const toldFor = 15 * time.Minute

// overran returns a sentence about an application's recent requests past their
// timeout; "": there were none.
func overran(a control.App, now time.Time) string {
	o := a.Overran
	if o == nil || now.Sub(o.At) > toldFor {
		return ""
	}
	return fmt.Sprintf("requests have taken longer than timeout: %d since %s, the last at %s: %s; the error log has the stack of each",
		o.Times, moment(a.Since), moment(o.At), o.Request)
}

// died returns a sentence about an application's workers that have ended unexpectedly; "":
// there were none lately, or the application's error says it.
func died(a control.App, now time.Time) string {
	d := a.Deaths
	if d == nil || a.Error != "" || now.Sub(d.At) > toldFor {
		return ""
	}
	return fmt.Sprintf("workers have ended unexpectedly, each with the requests that it ran: %d since %s, the last at %s with %s; the error log has their output",
		d.Times, moment(a.Since), moment(d.At), d.Exit)
}

// troubleEvery is how often the server looks for trouble.
const troubleEvery = time.Second

// findings are the results of find.
type findings struct {
	barred []string // folders whose files cannot be served
	full   []string // folders on full file systems
}

// findEvery is how often find looks at file systems.
const findEvery = 5 * time.Second

// find looks at file systems until ctx ends. Nothing waits for it, so that a file system
// that hangs holds up neither the verbs nor the server's end.
func (s *server) find(ctx context.Context) {
	t := time.NewTicker(findEvery)
	defer t.Stop()
	for {
		s.found.Store(&findings{s.loaded().barred(), s.p.folders.full()})
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// mostReminders bounds the reported troubles that are remembered.
const mostReminders = 100

// remindAfter is how long trouble that comes and goes is not reported again.
const remindAfter = 10 * time.Minute

// watchTrouble reports trouble to the service manager and its journal until ctx ends.
// Without a manager the error log and the verb status have it.
func (s *server) watchTrouble(ctx context.Context) {
	if !s.p.managed {
		return
	}
	t := time.NewTicker(troubleEvery)
	defer t.Stop()
	var last newsTold
	told := map[string]time.Time{}
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if s.ending.Load() {
			continue
		}
		now, st := time.Now(), s.status((*pool.Pool).Brief)
		all := troubleOf(st, now)
		s.sayTrouble(all, told, now)
		if st.Starting {
			all = append(all, awaited(st)...)
		}
		if found := (newsTold{st.Starting, strings.Join(all, "; ")}); found != last {
			last = found
			s.tellTrouble(found.text)
		}
	}
}

// newsTold is the trouble that was reported last.
type newsTold struct {
	starting bool
	text     string
}

// sayTrouble writes new trouble to standard error, where the error log goes elsewhere.
// told has the times of earlier reports.
func (s *server) sayTrouble(all []string, told map[string]time.Time, now time.Time) {
	if s.logsToStderr() {
		return
	}
	for _, text := range all {
		if at, known := told[text]; known && now.Sub(at) < remindAfter {
			continue
		}
		if len(told) >= mostReminders {
			clear(told)
		}
		told[text] = now
		logfile.Say("alicorn: " + text)
	}
}

// tellTrouble has the service manager show text; "": nothing fails.
func (s *server) tellTrouble(text string) {
	if s.link != nil {
		s.link.Trouble(text)
		return
	}
	s.p.origin.notify.trouble(text)
}
