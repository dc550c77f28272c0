package main

import "alicorn/cmd/alicorn/keeper"

// origin is what a process has from the one that started it: the zero origin
// stands for a shell.
type origin struct {
	notify    *notifier         // to the service manager
	inherited *keeper.Inherited // listening sockets
	before    *predecessor      // whom this process takes over from
}

// takeOrigin takes it out of the environment, which children get without it.
func takeOrigin() origin {
	before := takePredecessor()
	return origin{notify: newNotifier(before != nil), inherited: keeper.TakeInherited(before != nil), before: before}
}

// takeOver ends the start of a process that takes over, which serves now.
func (o *origin) takeOver() {
	o.before.takeOver()
	o.inherited.Own()
}
