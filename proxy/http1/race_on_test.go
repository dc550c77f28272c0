//go:build race

package http1_test

// raceEnabled: the race detector makes sync.Pool forget at random.
const raceEnabled = true
