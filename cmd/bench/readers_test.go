package main

import (
	"testing"
	"time"
)

// TestSlowReadersForAMoment is a sample of the mode readers.
func TestSlowReadersForAMoment(t *testing.T) {
	if _, err := raiseDescriptors(1000); err != nil {
		t.Fatal(err)
	}
	r := readers{count: 100, size: 1 << 20, limit: 150 << 20, free: time.Minute}
	if err := r.measure(t.Context(), "alicorn="+alicornProgram(t)); err != nil {
		t.Error(err)
	}
}
