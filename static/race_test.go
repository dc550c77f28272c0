//go:build race

package static_test

// mostAllocations is what a request may allocate: the race detector's pools
// lose some of what they are given.
const mostAllocations = 6
