package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestChaosForAMoment is a sample of the chaos mode: its kinds for a second or two,
// with a fixed seed, by its own rule.
func TestChaosForAMoment(t *testing.T) {
	program := "alicorn=" + alicornProgram(t)
	for _, name := range []string{"reload", "storm", "forty", "recycle", "kill"} {
		t.Run(name, func(t *testing.T) {
			kind, err := disturbanceNamed(name)
			if err != nil {
				t.Fatal(err)
			}
			c := chaos{kind: kind, duration: 2 * time.Second, every: 500 * time.Millisecond, connections: 8, workers: 2, threads: 2,
				random: rand.New(rand.NewPCG(1, 0))}
			if err := c.measure(t.Context(), program); err != nil {
				t.Error(err)
			}
		})
	}
}
