// Package appserver runs applications: what an `app NAME { }` block says, the pools of
// supervised Python workers that it leads to through the generations of a configuration, and
// the requests that locations pass to it. The model:
//
//	App        an `app NAME { }` block, complete: settings, command, credentials
//	program    one application of an App: most have one, some a second one for WebSockets
//	Launcher   the keeper, for the front: it starts workers as its own Apps describe them
//	Rollout    brings up the apps of one generation: each keeps its version or gets a new one
//	service    the app of one name, through all generations that have it
//	version    one version of an app, its settings and its code, that runs
//	runner     one program of a version, and the pool.Pool that runs it
//	attempt    a new version that takes over from the one that serves once it is ready
//	request    one Exchange's request: its body, its environ, and the pool.Job that they make
//	feed       a body that the application reads while it comes
//	socket     a WebSocket, which joins the client and the pool.Job that asked for it
//	adapter    a kind of worker: how applications of its interface see requests
//
// Below it are package pool, which knows workers and no application, packages wsgi and asgi,
// which know how a request looks to an application, package gateway, which has what these share,
// and package wire, which knows frames.
//
// Invariants. A request takes the version that is current when it is submitted. No slow upload
// holds a worker, unless app_request_buffering is off. What changes a worker's program or
// user comes from the configuration that the process which starts it has read. One app that
// does not come up harms no other.
package appserver

// Files, in the order of the story:
//
//   - app.go program.go adapter.go settings.go location.go module.go: what an app is, its directives, those of locations, and the module
//   - command.go interpreter.go dotenv.go inherit.go destination.go cpus.go: command, environment and output of workers
//   - credentials.go runas.go front.go: the users that they run as
//   - launch.go bundle.go death_linux.go: how they are started
//   - service.go version.go runner.go rollout.go attempt.go: one app through the generations
//   - survey.go journal.go tree.go stat_linux.go: whether its files have changed
//   - forwarding.go: what is believed of a request's way
//   - submission.go feed.go request.go respond.go socket.go tempspace.go: a request on its way there and back, and WebSockets
//   - folders.go: files that the front serves in the application's place
