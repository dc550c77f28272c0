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
// A Group is a Resource: the Group and its connections live through reloads that do not change
// its block. A lane has a lock of its own, so that loops do not wait for one another. If it has
// no kept connection, it takes one of another lane.
//
// A request whose body is in memory and whose answer comes in one piece costs one write
// and one read of the peer's connection, which is registered with its loop once, and no
// goroutine. A longer answer is read by the loop into an upstream.WriteBehind, as fast as
// the peer sends it, and given to the client as fast as that takes it. At its end the loop
// lets go of the peer, also where the client takes nothing.
//
// HTTP/1.1 is the default, and connections are kept, as in nginx since 1.29.7. If a kept
// connection turns out to be closed, its request is sent again, if the method allows that.
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
//   - answer.go ignore.go edit.go redirect.go cookie.go limitrate.go trailer.go variables.go tunnel.go: the answer
