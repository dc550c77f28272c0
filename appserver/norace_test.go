//go:build !race

package appserver

// mostAllocations is what a request may allocate: nothing.
const mostAllocations = 0
