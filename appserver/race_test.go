//go:build race

package appserver

// mostAllocations is what a request may allocate: under the race detector
// sync.Pool drops values at random.
const mostAllocations = 8
