//go:build !race

package static_test

// mostAllocations is what a request may allocate.
const mostAllocations = 0
