// Package proxypass passes requests on to other servers: nginx's proxy and upstream
// modules, and those of the gateways uwsgi, FastCGI and SCGI. The model:
//
//	protocol   what is spoken, with its family of directives
//	target     what proxy_pass names: a server, or an upstream block, and the URI there
//	aims       the targets that a proxy_pass with variables may have
//	Group      the servers of an upstream block, or of one proxy_pass, and connections to them
//	peer       one address of a server
//	roster     the peers as balancing sees them, its members: turns, failures, load
//	lane       a Group's part for one event loop: kept connections, and a roster
//	conn       a connection to a peer, in a loop, or a goroutine's where there is none
//	pass       one request on its way to a peer and back: a proxy.Continuation
//	encoder    a location's way to write requests
//
// A Group is a Resource: it and its connections live through reloads that leave its
// block as it is. A lane has a lock of its own, so that loops do not wait for one another;
// where its loop has no kept connection, that of another lane is taken.
//
// A request whose body is in memory and whose answer comes in one piece costs one write
// and one read of the peer's connection, which is registered with its loop once, and no
// goroutine. A longer answer is read by the loop into an upstream.WriteBehind, as fast as
// the peer sends it, and given to the client as fast as that takes it. At its end the loop
// lets go of the peer, also where the client takes nothing.
//
// HTTP/1.1 is the default, and connections are kept, as in nginx since 1.29.7. One that turns
// out to be closed costs a request nothing: it is sent once more, where the method allows it.
package proxypass

// Files, in the order of the story:
//
//   - module.go protocol.go directives.go settings.go target.go block.go: what the configuration says
//   - gateway.go fastcgi.go: the same of gateways
//   - groupdirectives.go balancing.go stickyblock.go: what an upstream block says
//   - group.go lane.go conn.go: peers and connections
//   - roster.go balance.go queue.go sticky.go sessions.go peerstatus.go: which peer a request goes to
//   - naming.go health.go match.go: names of servers that are resolved again, checks of health
//   - aim.go: where a request goes whose location has variables in proxy_pass
//   - secure.go bind.go bind_linux.go bind_other.go: TLS, and what sockets are set up with
//   - encoder.go forwarding.go uri.go params.go fields.go: the request
//   - pass.go send.go filepart.go receive.go records.go stream.go failure.go: its way
//   - answer.go ignore.go edit.go redirect.go cookie.go limitrate.go trailer.go variables.go tunnel.go: the answer
