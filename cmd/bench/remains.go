package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// settleTime is how long a server may take until it holds no more than before.
const settleTime = time.Minute

// remains is what a server holds without load.
type remains struct {
	workers    int      // processes
	front      holdings // of the front and the keeper together
	goroutines int
	tasks      int // of an ASGI application's event loop
}

// frontProcesses are the keeper and the front.
const frontProcesses = 2

// leftBound is how much more a server may hold after a disturbance than before it: its
// heap has grown under load, and its caches have filled.
var leftBound = growth{memory: 48 << 20, descriptors: 8, goroutines: 16}

// processes returns how many worker processes there are without a disturbance.
func (c *chaos) processes() int {
	if c.kind.others != nil {
		return c.workers + c.kind.others(c)
	}
	return c.workers
}

// settled waits until the server has the processes that it must have, and returns what it
// holds then. For other servers than alicorn it returns nothing at once.
func (c *chaos) settled(ctx context.Context, s *server) (remains, error) {
	return c.await(ctx, s, func(r remains) []string { return c.strangers(r) })
}

// nothingLeft waits until the server has the processes that it must have, and holds hardly
// more than before.
func (c *chaos) nothingLeft(ctx context.Context, s *server, before remains) error {
	r, err := c.await(ctx, s, func(r remains) []string { return append(c.strangers(r), r.beyond(before)...) })
	if err == nil && s.verbs != nil {
		fmt.Printf("before: %v\nafter:  %v\n", before, r)
	}
	return err
}

func (c *chaos) await(ctx context.Context, s *server, wrong func(remains) []string) (r remains, err error) {
	if s.verbs == nil {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	var faults []string
	for {
		now, err := c.remainsOf(ctx, s)
		switch {
		case err == nil:
			r = now
			if faults = wrong(r); len(faults) == 0 {
				return r, nil
			}
		case ctx.Err() == nil || faults == nil: // the end of ctx is no fault of the server
			faults = []string{err.Error()}
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return r, fmt.Errorf("%w: with the load gone: %s", errBroken, strings.Join(faults, "; "))
		}
	}
}

func (c *chaos) remainsOf(ctx context.Context, s *server) (r remains, err error) {
	workers, err := pythonsBelow(s.processes[0].pid())
	if err != nil {
		return r, err
	}
	r.workers = len(workers)
	front, err := s.front()
	if err != nil {
		return r, err
	}
	if r.front, err = proc.holdings(front...); err != nil {
		return r, err
	}
	if r.goroutines, err = s.goroutines(ctx); err == nil && c.asgi {
		r.tasks, err = s.tasks(ctx)
	}
	return r, err
}

// strangers says which processes are missing or too many.
func (c *chaos) strangers(r remains) (lines []string) {
	if want := c.processes(); r.workers != want {
		lines = append(lines, fmt.Sprintf("there are %d worker processes, not %d", r.workers, want))
	}
	if r.front.processes != frontProcesses {
		lines = append(lines, fmt.Sprintf("beside the workers there are %d processes, not a keeper and a front", r.front.processes))
	}
	return lines
}

// beyond says what has grown beyond the bound.
func (r remains) beyond(before remains) (lines []string) {
	if n := r.front.descriptors - before.front.descriptors; n > leftBound.descriptors {
		lines = append(lines, fmt.Sprintf("keeper and front have %d descriptors more", n))
	}
	if n := r.front.rss - before.front.rss; n > leftBound.memory {
		lines = append(lines, fmt.Sprintf("keeper and front hold %s more", mebibytes(n)))
	}
	if n := r.goroutines - before.goroutines; n > leftBound.goroutines {
		lines = append(lines, fmt.Sprintf("the front has %d goroutines more", n))
	}
	if r.tasks > before.tasks {
		lines = append(lines, fmt.Sprintf("an event loop has %d tasks more", r.tasks-before.tasks))
	}
	return lines
}

// String returns the figures in a line.
func (r remains) String() string {
	return fmt.Sprintf("%d worker processes; keeper and front: RSS %s, descriptors %d, goroutines %d; tasks of an event loop: %d",
		r.workers, mebibytes(r.front.rss), r.front.descriptors, r.goroutines, r.tasks)
}
