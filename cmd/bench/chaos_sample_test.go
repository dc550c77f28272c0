package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestChaosForAMoment is a sample of the chaos mode: its kinds for two seconds, or
// longer where a slow machine needs it, with a fixed seed, by its own rule.
func TestChaosForAMoment(t *testing.T) {
	program := "alicorn=" + alicornProgram(t)
	for _, sample := range []struct {
		kind  string
		every time.Duration // 0: the kind's own
		acts  int
	}{
		{"reload", 500 * time.Millisecond, 2},
		{"storm", 0, 4},
		{"forty", 0, 1},
		{"upgrade", 500 * time.Millisecond, 2},
		{"descriptors", 0, 2},
		{"recycle", 0, 0},
		{"kill", 500 * time.Millisecond, 2},
	} {
		t.Run(sample.kind, func(t *testing.T) {
			kind, err := disturbanceNamed(sample.kind)
			if err != nil {
				t.Fatal(err)
			}
			c := chaos{kind: kind, duration: 2 * time.Second, every: sample.every, acts: sample.acts, connections: 6, workers: 2, threads: 2,
				random: rand.New(rand.NewPCG(1, 0))}
			if err := c.measure(t.Context(), program); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBackendsForAMoment harms backends of each kind, and has them all be away, for as
// short as each of the ways to harm them takes.
func TestBackendsForAMoment(t *testing.T) {
	program := "alicorn=" + alicornProgram(t)
	for _, sample := range []struct {
		kind, backend string
		acts          int
	}{
		{"backends", "gunicorn", 3},
		{"backends", "gunicorn-sync", 3},
		{"backends", "uvicorn", 3},
		{"backends", "uwsgi", 3},
		{"backends", "php-fpm", 3},
		{"backends", "go", 3},
		{"backends", "node", 3},
		{"outage", "go", 2},
		{"outage", "uwsgi", 1},
	} {
		t.Run(sample.kind+"/"+sample.backend, func(t *testing.T) {
			t.Parallel()
			kind, err := disturbanceNamed(sample.kind)
			if err != nil {
				t.Fatal(err)
			}
			chosen, err := chooseBackends(sample.backend)
			if err != nil {
				t.Fatal(err)
			}
			c := chaos{kind: kind, duration: time.Second, every: 300 * time.Millisecond, acts: sample.acts, connections: 6, workers: 2, threads: 2,
				random: rand.New(rand.NewPCG(1, 0)), backends: &backendGroup{kind: chosen[0], outage: 2 * time.Second}}
			if err := c.measure(t.Context(), program); err != nil {
				t.Error(err)
			}
		})
	}
}
