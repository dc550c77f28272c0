package main

import "alicorn/cmd/alicorn/keeper"

// origin is what a process gets from the one that has started it. The zero origin
// stands for a shell.
type origin struct {
	notify    *notifier         // to the service manager
	inherited *keeper.Inherited // listening sockets
	before    *predecessor      // the server that this process takes over from
}

// takeOrigin takes the origin out of the environment, so that children do not get it.
func takeOrigin() origin {
	before := takePredecessor()
	return origin{notify: newNotifier(before != nil), inherited: keeper.TakeInherited(before != nil), before: before}
}

// takeOver is called when this process serves, to complete taking over.
func (o *origin) takeOver() {
	o.before.takeOver()
	o.inherited.Own()
}
