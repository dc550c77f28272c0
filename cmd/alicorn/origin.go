package main

import "alicorn/cmd/alicorn/keeper"

// origin is what a process has from the one that started it: the zero origin
// stands for a shell.
type origin struct {
	notify    *notifier         // to the service manager
	inherited *keeper.Inherited // listening sockets
}

// takeOrigin takes it out of the environment, which children get without it.
func takeOrigin() origin {
	return origin{notify: newNotifier(false), inherited: keeper.TakeInherited(false)}
}
