// Package keeper is the process that was started: it takes from the operating
// system what needs privileges, and moves the server through its life.
//
// The model:
//
//	Local      what a configuration takes: listeners, logs, key files (config.Host)
//	Front      the side that speaks HTTP, in this process or in a child of its own
//	Keeper     start, reload, reopen, stop: one goroutine owns the state; who waits for whom
//	proven     the apps as they came up last: what a new front starts where the newest settings did not
//	Child      a Front in a process without privileges, over a socketpair
//
// Started as root there are two processes. The keeper reads no client byte; it
// reads the configuration itself and gives the front only what that reading
// named: an address to listen on, a log, a key, a worker of an app. The front
// is not trusted: what it asks beyond that is refused, and it signals only
// workers that were started for it. Of a worker it names the app and a number,
// and hands over descriptors, each of which is checked; code, settings, folder,
// environment and user are the keeper's own (appserver.App.Launch). Not root, the same Front runs in the
// keeper's process, without a wire.
//
// A reload that fails at any step leaves the running configuration serving.
package keeper

// Files, in the order of the story:
//
//   - keeper.go life.go reading.go past.go proven.go: the process that stays root, and what it knows
//   - identity.go shield_linux.go pair_linux.go wire.go message.go errors.go: two processes that do not trust each
//     other
//   - client.go service.go: what the front asks for, and what it gets
//   - front.go upgrade.go group_linux.go: fronts and workers, started and ended
//   - host.go listen.go neighbours.go holder_linux.go inherited.go reserve.go logfile.go: addresses, descriptors and
//     logs
