// Package appserver runs applications: it reads `app NAME { }` blocks, starts their pools of
// Python workers, keeps or replaces these with each generation of the configuration, and
// passes them the requests of locations. The model:
//
//	App        an `app NAME { }` block, complete: settings, command, credentials
//	program    an application of an App: most have one, some a second one for WebSockets
//	Launcher   the keeper as the front sees it: it starts workers as its own Apps describe them
//	Rollout    starts the apps of one generation: each keeps its version or gets a new one
//	service    the app of one name, through all generations that have it
//	version    one version of an app, its settings and its code, with the pools that run it
//	runner     one program of a version, and the pool.Pool that runs it
//	attempt    a new version that replaces the current one once it is ready
//	request    one Exchange's request: its body, its environ, and its pool.Job
//	feed       a body that the application reads while it comes
//	socket     a WebSocket, which joins the client and the pool.Job that asked for it
//	adapter    a kind of worker: how applications of its interface see requests
//
// It uses package pool, which manages workers and knows no application; packages wsgi and
// asgi, which encode requests for applications; package gateway, which has the common parts of
// these two; and package wire, which has the frames.
//
// Invariants. A request uses the version that is current when it is submitted. No slow upload
// holds a worker, unless app_request_buffering is off. The process that starts a worker takes
// the worker's program and user from the configuration that it has read itself. An app that
// does not come up does not affect another.
package appserver

// Files, in the order of the story:
//
//   - app.go program.go adapter.go settings.go location.go module.go: what an app is, its directives, those of locations, and the module
//   - command.go interpreter.go dotenv.go inherit.go destination.go cpus.go: command, environment and output of workers
//   - credentials.go runas.go front.go: the users that they run as
//   - launch.go bundle.go death_linux.go: how they are started
//   - service.go version.go runner.go rollout.go attempt.go: one app through the generations
//   - survey.go journal.go tree.go stat_linux.go: whether its files have changed
//   - forwarding.go: which header fields of proxies are trusted
//   - submission.go feed.go request.go respond.go socket.go tempspace.go: a request and its answer, and WebSockets
//   - folders.go: files that the front serves in the application's place
