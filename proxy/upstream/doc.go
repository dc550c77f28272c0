// Package upstream passes request bodies to upstreams and their answers to clients. An
// upstream is a server or a pool of workers; the package knows no protocol. The model:
//
//	Body         a request body that is read completely before an upstream gets it
//	Feed         a request body that is passed on while it comes
//	Repeat       the rule which requests are sent again after a failed try
//	Head         the checked head of an answer
//	WriteBehind  the blocks of an answer that the client has not taken yet
//	Source       the sender of the blocks, which sends more as the client takes them
//	Secure       how connections to upstreams are encrypted, and which certificates they trust
//
// A protocol adds the decoded status and fields to a Head. The Head leaves out the fields
// of the connection to the upstream, and those for this server (X-Accel-*). Reply sends
// the client an answer that has come completely. The blocks of any other answer go into a
// WriteBehind as fast as they come, and from there to the client as fast as it takes them.
// Both check the length of the body against Content-Length. The protocol chooses how an
// Exchange waits, and asks Repeat before it sends a request again.
//
// Neither a slow upload nor a slow reader holds an upstream, unless the location wants
// that: then it uses a Feed in place of a Body. Body and WriteBehind keep little data in
// memory, and more in files without a name. Settings of the location bound both.
package upstream

// Files, in the order of the story:
//
//   - spool_body.go spool_linux.go spool_darwin.go feed.go again.go: the body of a request
//   - repeat.go: which requests are sent again
//   - head.go accel.go: the head of an answer
//   - answer.go spool_response.go: the answer on its way to the client
//   - space.go: the bound on temporary files
//   - secure.go: TLS
