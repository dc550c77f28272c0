package proxy

import "alicorn/config"

// Phase is a step of a request's way that modules may join.
type Phase uint8

// The phases, in order. Content is a single Handler, not a Phase.
const (
	PostRead Phase = iota
	ServerRewrite
	findLocation // the core's own
	Rewrite
	PreAccess
	Access
	PreContent
	content
	numPhases = content
)

// Action is a module's part in a phase. It returns nil to go on, Done when it
// has responded, or an error (Status, *Fail, *Redirect, other). In the Access phase
// nil means that it has no say; Granted, and a Status or *Fail of 401 or 403, are
// weighed as satisfy says.
type Action func(x *Exchange) error

// Handler gives a location's content. It responds and returns nil, or returns
// an error and leaves the response alone.
type Handler interface {
	Serve(x *Exchange) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(x *Exchange) error

// Serve calls f.
func (f HandlerFunc) Serve(x *Exchange) error { return f(x) }

// HeaderFilter sees, and may change, x.Res just before its head is sent; it
// may install a BodyFilter. Filters run in the order of modules.
type HeaderFilter func(x *Exchange) error

// BodyFilter transforms a response body. It writes to next. It is made per
// response by a HeaderFilter (from a pool) and released in Close.
type BodyFilter interface {
	Write(next BodyWriter, p []byte) error
	Flush(next BodyWriter) error
	// Finish writes what is left; Close releases, also after errors.
	Finish(next BodyWriter) error
	Close()
}

// BodyWriter is the rest of the way to the client, as a BodyFilter sees it.
type BodyWriter interface {
	Write(p []byte) (int, error)
	Flush() error
}

// Module is one feature: what it reads from the configuration and what it
// adds to servers and locations. All fields but Name may be empty.
type Module struct {
	Name       string
	Settings   config.Settings
	Directives []config.Directive
	Variables  []Variable
	State      []Slot // what it keeps in exchanges, locations and connections; see Slot
	// Compile is called for every location (and, for requests that no
	// location matches, for the server's own scope), after the whole
	// configuration was read without a mistake. It adds what s asks for to l.
	Compile func(s *config.Scope, l *Location) error
	// Servers is called once, with the main Scope, after all servers were
	// compiled and before their addresses are bound: it may add to their Listens.
	Servers func(s *config.Scope, g *Generation) error
	// Generation is called once, with the main Scope, after all locations
	// were compiled: for pools and other things with a life of their own.
	Generation func(s *config.Scope, g *Generation) error
}
