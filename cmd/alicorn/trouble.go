package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/control"
	"alicorn/proxy/logfile"
)

// troubleOf lists what fails though the server serves, each in one sentence
// that says what helps.
func troubleOf(st control.Status, now time.Time) (all []string) {
	for _, a := range st.Apps {
		if a.Error != "" && a.State == string(appserver.PoolFailed) {
			all = append(all, fmt.Sprintf("app %q is down: %s", a.Name, a.Error))
		} else if a.Error != "" {
			all = append(all, fmt.Sprintf("app %q runs, but the last start of a worker failed: %s", a.Name, a.Error))
		}
		if text := overran(a, now); text != "" {
			all = append(all, fmt.Sprintf("app %q: %s", a.Name, text))
		}
	}
	return append(all, serversTrouble(st)...)
}

// awaited lists the applications that a start waits for.
func awaited(st control.Status) (all []string) {
	for _, a := range st.Apps {
		if a.State == string(appserver.PoolStarting) {
			all = append(all, fmt.Sprintf("app %q is not ready yet; past startup_timeout the error log shows where it stands", a.Name))
		}
	}
	return all
}

// serversTrouble is troubleOf without that of applications.
func serversTrouble(st control.Status) (all []string) {
	for _, f := range st.Failures {
		all = append(all, fmt.Sprintf("the last %s failed at %s: %s", f.What, moment(f.At), f.Error))
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
	for _, dir := range st.Full {
		all = append(all, fmt.Sprintf("no space is left in %s, for requests, certificates and logs; \"df -h %[1]s\" and \"df -i %[1]s\" show the file system", dir))
	}
	for _, l := range st.Logs {
		if l.Failing {
			all = append(all, fmt.Sprintf("log %s cannot be written: %s; %d lines lost; \"df -h %s\" shows the space that is left",
				l.Path, l.Error, l.Lost, filepath.Dir(l.Path)))
		}
	}
	return all
}

// overranFor is how long requests past their timeout are news.
const overranFor = 15 * time.Minute

// overran tells of an application's requests past their timeout; "": there was
// none of late.
func overran(a control.App, now time.Time) string {
	o := a.Overran
	if o == nil || now.Sub(o.At) > overranFor {
		return ""
	}
	return fmt.Sprintf("requests have taken longer than timeout and their workers were replaced: %d since %s, the last at %s: %s; the error log shows where each stood",
		o.Times, moment(a.Since), moment(o.At), o.Request)
}

// troubleEvery is how often trouble is looked for.
const troubleEvery = time.Second

// findings are what a look at file systems has found.
type findings struct {
	barred []string // folders that cannot be served
	full   []string // folders without space
}

// findEvery is how often file systems are looked at.
const findEvery = 5 * time.Second

// find looks at file systems until ctx ends. Nobody waits for it: one that hangs
// holds up neither the verbs nor the server's end.
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

// mostReminders bounds what is remembered of trouble that was told.
const mostReminders = 100

// remindAfter is how long trouble that comes and goes is not told again.
const remindAfter = 10 * time.Minute

// watchTrouble tells the service manager, and its journal, what fails, until
// ctx ends. Without a manager the error log and the verb status tell.
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
		now, st := time.Now(), s.status((*appserver.Pool).Brief)
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

// newsTold is what was told last.
type newsTold struct {
	starting bool
	text     string
}

// sayTrouble writes news to standard error, where the error log goes elsewhere.
// told is when each was.
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
