// Package upstream is what content from elsewhere needs on its way through
// the front, whichever protocol it speaks. The model:
//
//	Body         a request body, read completely before an upstream is taken
//	Feed         a request body that is passed on while it comes
//	Repeat       which requests are sent once more when a try has failed
//	Head         the checked head of an answer
//	WriteBehind  an answer's blocks that the client has not taken yet
//	Source       who sends the blocks: it is given credit for what has been taken
//	Secure       how connections to upstreams are encrypted, and whom they trust
//
// A protocol gives Head the status and the fields as it decoded them. What belongs
// to the connection to the upstream is left out there, and what is for this server
// (X-Accel-*) is taken out. An answer that is there whole goes to the client by
// Reply. The blocks of another are put into a WriteBehind as fast as they come, and
// given to the client by the Exchange as fast as that takes them. In both ways what
// has come is held against what was announced. The protocol chooses how an Exchange
// waits, and asks Repeat before it sends a request a second time.
//
// Neither a slow upload nor a slow reader may hold an upstream, unless a location says
// so: then a Feed takes the place of a Body. Body and WriteBehind keep little data in
// memory and more in files without a name, and both are bounded by settings of the
// location.
package upstream

// Files, in the order of the story:
//
//   - spool_body.go spool_linux.go spool_darwin.go feed.go again.go: the body of a request
//   - repeat.go: another try
//   - head.go accel.go: the head of an answer
//   - answer.go spool_response.go: the answer on its way to the client
//   - space.go: what bounds temporary files
//   - secure.go: TLS
