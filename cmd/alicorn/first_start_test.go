package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// At the first start the server listens at once, and each application is served as soon as
// it is imported. Requests for one that is not wait for it, but no longer than its queue_timeout.
func TestAnAppIsServedAsSoonAsItIsImported(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		v := newVillage(t)
		v.app("one", "fine")
		v.app("late", "late")
		v.app("hurried", "late")
		v.conf["hurried"] = strings.Replace(v.conf["hurried"], "workers 1;", "workers 1; queue_timeout 100ms;", 1)
		v.write(master)
		startWith(t, ownProgram(t), v.dir, nil)
		awaitCondition(t, "the first application is not served", func() bool { return len(v.workers()) == 1 })
		if got := v.get("one"); got != "HTTP/1.1 200 OK" {
			t.Errorf("%s: beside applications that are imported: got %q, want 200", master, got)
		}
		if got := v.get("hurried"); got != "HTTP/1.1 503 Service Temporarily Unavailable" {
			t.Errorf("%s: who waits for longer than queue_timeout: got %q, want 503", master, got)
		}
		answer := make(chan string, 1)
		go func() { answer <- v.get("late") }()
		awaitCondition(t, "the request does not wait", func() bool {
			for _, a := range v.status().Apps {
				if a.Name == "late" {
					return a.State == "starting" && a.Queue == 1
				}
			}
			return false
		})
		if got := v.letImport(answer); got != "HTTP/1.1 200 OK" {
			t.Errorf("%s: who has waited for the import: got %q, want 200", master, got)
		}
	}
}

// letImport has what waits at the village's pipe go on until there is an answer.
func (v *village) letImport(answer <-chan string) string {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if f, err := os.OpenFile(v.mark("fifo"), os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			f.Close()
		}
		select {
		case got := <-answer:
			return got
		case <-time.After(10 * time.Millisecond):
		}
	}
	return "none in time"
}
