// Package proxypass passes requests on to other servers: nginx's proxy and upstream
// modules, and its modules for uwsgi, FastCGI and SCGI. The model:
//
//	protocol   a protocol to other servers, with its family of directives
//	target     the value of proxy_pass: a server or an upstream block, and a URI
//	aims       the targets that a proxy_pass with variables may have
//	Group      the servers of an upstream block, or of one proxy_pass, and connections to them
//	peer       one address of a server
//	roster     the peers as balancing sees them, its members: turns, failures, load
//	lane       a Group's part for one event loop: kept connections, and a roster
//	conn       a connection to a peer: of a loop, or of a goroutine if there are no loops
//	pass       one request on its way to a peer and back: a proxy.Continuation
//	encoder    writes the requests of a location
//
// A Group lives through reloads that do not change its block. A lane has a lock of its own,
// and takes a kept connection of another lane if it has none.
//
// A request whose body is in memory and whose answer comes in one piece costs one write, one
// read and no goroutine. The loop reads a longer answer into an upstream.WriteBehind, as fast
// as the peer sends it, and lets go of the peer at its end, also if the client takes nothing.
package proxypass

// Files, in the order of the story:
//
//   - module.go protocol.go directives.go settings.go target.go block.go: the configuration
//   - gateway.go fastcgi.go: the configuration of gateways
//   - groupdirectives.go balancing.go stickyblock.go: the configuration of upstream blocks
//   - group.go lane.go conn.go: peers and connections
//   - roster.go balance.go queue.go sticky.go sessions.go peerstatus.go: the choice of a peer
//   - naming.go health.go match.go: looking up names again, health checks
//   - aim.go: the target of a proxy_pass with variables
//   - secure.go bind.go bind_linux.go bind_other.go: TLS, and options of sockets
//   - encoder.go forwarding.go uri.go params.go fields.go: the request
//   - pass.go send.go filepart.go receive.go records.go stream.go failure.go: sending it, and receiving the answer
//   - answer.go ranges.go ignore.go edit.go redirect.go cookie.go limitrate.go trailer.go variables.go tunnel.go: the answer
