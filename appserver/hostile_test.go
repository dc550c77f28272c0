//go:build linux

package appserver

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// newHostileSite is a site whose one worker runs testdata/hostile.py.
func newHostileSite(t *testing.T) *site {
	s := newLoopSite(t, "workers 1;", Options{})
	text := strings.Replace(configText(t, "workers 1; timeout 2s; graceful_timeout 1s;"), "app:app", "hostile:app", 1)
	if err := s.Reload(text); err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever a worker does to what it shares with the front, its pool goes on:
// it answers, tells its status and ends.
func TestAHostileWorkerHarmsOnlyItself(t *testing.T) {
	for _, c := range []struct {
		cause   string // what the log says of the worker's end; "" where it goes on
		attacks string
	}{
		{"", "flags_of_descriptors fills_its_bell rings_are_not_heard wakes_for_ever logs_for_ever prints_for_ever marks_other_requests asks_for_pidfds refuses_descriptors drops_what_it_is_sent cuts_what_it_is_sent shuts_its_end"},
		{"leaves: x", "asks_to_leave_often"},
		{"broke the worker protocol", "short_frame unknown_frame long_frame unknown_id ends_twice two_heads data_of_another_slot " +
			"data_after_the_end lying_length more_than_its_credit ready_twice failed_once_ready aborts_what_nobody_cancelled " +
			"file_without_a_position file_at_no_position many_descriptors lingering_descriptors count_of_answers_leaps count_of_answers_goes_back " +
			"count_of_taken_leaps count_of_taken_goes_back answers_what_it_has_not_taken denies_what_it_runs_and_dies"},
		{"exited: |broke the worker protocol", "closes_everything leaves_a_child_that_goes_on"},
		{"took longer than its timeout|broke the worker protocol", "stops_itself takes_requests_and_keeps_them writes_at_random"},
		{"gave a file that cannot be sent: ", "lingering_socket_for_a_file directory_for_a_file pipe_for_a_file short_file file_beyond_its_end"},
	} {
		for attack := range strings.FieldsSeq(c.attacks) {
			t.Run(attack, func(t *testing.T) {
				t.Parallel()
				s := newHostileSite(t)
				survive(t, s, attack)
				for cause := range strings.SplitSeq(c.cause, "|") {
					if strings.Contains(s.Log.String(), cause) {
						return
					}
				}
				t.Errorf("got the log %.2000s, want %q in it", s.Log, c.cause)
			})
		}
	}
}

// survive has the worker attack while others ask, and checks that the pool goes
// on and ends.
func survive(t *testing.T, s *site, attack string) {
	p := s.pool(t)
	var wg sync.WaitGroup
	wg.Go(func() { s.Get("/?" + attack) })
	for range 4 {
		wg.Go(func() {
			for range 3 {
				s.Get("/")
			}
		})
	}
	wg.Wait()
	proxytest.Eventually(t, func() bool { return s.Get("/").Status == 200 }, "the pool answers no more")
	p.Status()
	ended := make(chan bool)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		p.Stop(ctx)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(60 * time.Second):
		t.Fatal("got a pool that runs on, want its end")
	}
}
