//go:build race

package accesslog

// raceEnabled says that the race detector's own allocations count.
const raceEnabled = true
