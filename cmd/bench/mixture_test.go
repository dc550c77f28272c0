package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// What is open may end as the kind says: with the workers that end, or that die.
func TestMixtureAllowsTheEndsOfItsKind(t *testing.T) {
	tests := []struct {
		what, kind string
		err        error
		allowed    bool
	}{
		{"stream", "reload", io.ErrUnexpectedEOF, true},
		{"stream", "kill", syscall.ECONNRESET, true},
		{"stream", "leave", io.EOF, false},
		{"stream", "stop", os.ErrDeadlineExceeded, false},
		{"WebSocket", "reload", io.EOF, false},
		{"WebSocket", "recycle", &closedError{code: 1006}, false},
		{"WebSocket", "stall", io.EOF, true},
		{"WebSocket", "kill", os.ErrDeadlineExceeded, false},
		{"WebSocket", "leave", &closedError{code: 1012}, false},
	}
	for _, test := range tests {
		t.Run(test.what+" "+test.kind+" "+test.err.Error(), func(t *testing.T) {
			kind, err := disturbanceNamed(test.kind)
			if err != nil {
				t.Fatal(err)
			}
			if err := newMixture("", kind).ended(test.what, test.err); (err == nil) != test.allowed {
				t.Errorf("ended = %v, want it to be allowed: %v", err, test.allowed)
			}
		})
	}
}

func TestMixtureCountsWhatDyingWorkersHeld(t *testing.T) {
	kill, err := disturbanceNamed("kill")
	if err != nil {
		t.Fatal(err)
	}
	m := newMixture("", kill)
	for _, what := range []string{"events", "messages", "clients that left"} {
		m.count(what)
	}
	for range streamClients + socketClients {
		if err := m.opening(t.Context(), "stream", &requestError{status: 502, err: errors.New("502")}); err != nil {
			t.Errorf("a 502 while workers die is a failure: %v", err)
		}
	}
	if err := m.verdict(1); err != nil {
		t.Errorf("verdict = %v, want none: a killed worker may have held all", err)
	}
	if err := m.verdict(0); !errors.Is(err, errBroken) {
		t.Errorf("verdict = %v, want an error: no worker was killed", err)
	}
	if err := m.opening(t.Context(), "stream", &requestError{status: 503, err: errors.New("503")}); err == nil || !strings.Contains(failureReason(err), "stream is answered with 503") {
		t.Errorf("opening = %v, want a failure: dying workers do not answer 503", err)
	}
	m.fail(io.EOF)
	if err := m.verdict(9); !errors.Is(err, errBroken) {
		t.Errorf("verdict = %v, want an error after a failure", err)
	}
}

func TestMixtureWithoutClientsIsBroken(t *testing.T) {
	if err := newMixture("", disturbance{}).verdict(1); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "no messages") {
		t.Errorf("verdict = %v, want an error", err)
	}
}
