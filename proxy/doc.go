// Package proxy is the heart of the front tier: one request's value, the way
// it takes, and the generations of configuration that it meets.
//
// The model:
//
//	Exchange    one request and its response; pooled, valid until its log phase ends
//	Wire        what a protocol loop (http1, ...) gives an Exchange: a ResponseWire, a RequestWire and a Scheduler
//	Waiting     the state machine of an Exchange that waits for events
//	Module      a feature: settings, directives, variables, and what it adds to a Location
//	Slot        a feature's own state beside an Exchange, Location or Conn, which have no fields for it
//	Location    compiled settings: short slices of ready functions for each phase
//	Generation  one immutable compiled configuration: listeners -> servers -> locations
//	Engine      serves the current Generation, swaps it by one pointer, drains the old one
//
// Phases run in nginx's order: post-read, server rewrite, find location,
// rewrite, preaccess, access, precontent, content, then the response's header
// and body filters, then log. A handler responds and returns nil, or returns
// an error and leaves the response alone: a Status, a Redirect or a failure;
// one place turns errors into error_page, an internal redirect (at most 10)
// or a status page. One that has to wait, in whatever phase, suspends the Exchange,
// which then needs no goroutine, with a Continuation (Suspend, Sleep; Ask for a subrequest),
// or awaits the event in straight code (Await). What blocks is offloaded (Offload).
// An Exchange is logged and leaves its Generation when it has ended, whoever resumed it.
//
// The package knows no content handler and no wire protocol: both are given to it.
package proxy

// Files, in the order of the story:
//
//   - module.go registry.go slot.go: what a feature is
//   - core.go coredirectives.go mime.go mimetypes.go nginxnames.go nginxvariables.go: the core's own directives, and
//     what is not there
//   - listen.go listener.go tuning.go proxyprotocol.go accept.go: addresses and connections
//   - engine.go generation.go lease.go location.go branch.go: configurations that serve
//   - wire.go exchange.go upstream.go header.go token.go remote.go prefixes.go uri.go basicauth.go coding.go: one request
//   - serve.go route.go cursor.go errorpage.go status.go: its way
//   - suspend.go waiting.go overruns.go subrequest.go: how it waits
//   - response.go file.go tunnel.go: the answer, and what follows an upgrade
//   - vars.go template.go regexp.go regexp_turns.go: variables and patterns
//   - level.go printable.go: words in logs
