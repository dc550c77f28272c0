// Package keeper splits a server that is started as root into two processes:
// the keeper stays root, and the front speaks to clients without privileges.
//
// The model:
//
//	Keeper     starts, watches, replaces and ends the front; its states stand at the type
//	Reading    a configuration, and the files that it names, as the keeper itself has read them
//	wire       messages with descriptors between the two, over a socketpair
//	Client     the front's end of the wire: its config.Host and appserver.Launcher
//	proven     the version of each app that came up last
//	Local      a config.Host with the rights of this process
//
// The keeper reads no byte of a client. It does not trust the front: it opens
// only addresses, logs and files that its own Reading names, and signals only
// workers that it has started. To start a worker the front names an app and a
// number, and sends descriptors, each of which is checked; code, settings,
// folder, environment and user come from the Reading (appserver.App.Launch).
// A server that is not root is one process: it takes a Local, and has no Keeper.
//
// A reload that fails at any step leaves the running configuration serving.
package keeper

// Files, in the order of the story:
//
//   - keeper.go life.go reading.go past.go proven.go: the process that stays root, and the configurations it knows
//   - identity.go shield_linux.go pair_linux.go wire.go message.go errors.go: users, and the wire between two
//     processes
//   - client.go service.go: what the front asks for, and what it gets
//   - front.go priority.go renice_linux.go upgrade.go group_linux.go: fronts and workers, started and ended
//   - host.go listen.go neighbours.go holder_linux.go inherited.go reserve.go logfile.go: addresses, descriptors and
//     logs
