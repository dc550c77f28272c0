// Package proxy is the core of the front tier: requests, the phases that each goes
// through, and the generations of configuration that serve them. It contains no content
// handler and no protocol: the program passes both in. The model:
//
//	Exchange    one request and its response; pooled, valid until its log phase ends
//	Wire        the protocol loop (http1, ...) of an Exchange: a ResponseWire, a RequestWire and a Scheduler
//	Module      a feature: its settings, directives, variables, and the functions that it adds to a Location
//	Slot        a feature's state of an Exchange, Location or Conn
//	Location    compiled settings: a short list of functions for each phase
//	Generation  one immutable compiled configuration: listeners -> servers -> locations
//	Engine      serves the current Generation, swaps it by one pointer, drains the old one
//	Waiting     the state of an Exchange, and what an event and its own calls make of it:
//
//	state      event               Park        Await
//	running    told                suspended   awaiting
//	told       told                running     running
//	suspended  running, resumed    -           -
//	awaiting   running, woken      -           -
//
// Phases run in nginx's order (see Phase), then the filters, then log. A handler responds and
// returns nil, or leaves the response alone and returns an error; one place turns errors into
// error_page, an internal redirect (at most 10) or a status page. An action or handler that
// has to wait suspends the Exchange, without a goroutine (Suspend, Sleep; Ask for a subrequest),
// or awaits the event in straight code (Await). Code that blocks is offloaded (Offload). When an
// Exchange has ended, it is logged and leaves its Generation.
package proxy

// Files, in the order of the story:
//
//   - module.go registry.go slot.go: features
//   - core.go coredirectives.go mime.go mimetypes.go typeset.go nginxnames.go nginxvariables.go: the core's own directives, and
//     nginx's that are missing
//   - listen.go listener.go tuning.go proxyprotocol.go accept.go: addresses and connections
//   - engine.go counts.go generation.go lease.go location.go branch.go limitexcept.go: compiled configurations
//   - wire.go exchange.go upstream.go header.go repeats.go token.go remote.go address.go prefixes.go forwarded.go uri.go basicauth.go coding.go requestbody.go: one request
//   - serve.go route.go hosts.go cursor.go satisfy.go errorpage.go status.go: its phases
//   - suspend.go waiting.go overruns.go subrequest.go own.go: how it waits
//   - response.go ranges.go pace.go file.go sendfile.go tunnel.go: responses and tunnels
//   - vars.go rule.go template.go regexp.go regexp_turns.go: variables and patterns
//   - level.go printable.go count.go: logs
