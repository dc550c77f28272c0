package main

import "runtime"

// reserveProcessors has Go's scheduler run a goroutine more at once for each event
// loop than there are processors, and returns how many loops there are to be: one
// for two processors.
//
// A loop's leader that comes back from the system's poller needs one of the
// scheduler's places, and where all are taken by handshakes or by files that are
// sent it waits behind whatever else has become ready: one request in a hundred
// took 50 ms beside a burst of 250 handshakes on two processors, and takes 15 so.
// With a place of its own it is the kernel that chooses, which prefers the thread
// that has slept. Work that takes long has as many places as there are processors,
// see eventloop's Labor, so that throughput stays what it was. It is for a process
// that has just started.
func reserveProcessors() (loops int) {
	processors := runtime.GOMAXPROCS(0)
	loops = max(processors/2, 1)
	runtime.GOMAXPROCS(processors + loops)
	return loops
}
