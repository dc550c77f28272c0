package proxy

import "alicorn/config"

// Phase is a step of a request's way. Modules add actions to phases.
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

// Action is a module's part in a phase. It returns nil to go on, Done after it has
// responded, or an error (Status, *Fail, *Redirect, other). In the Access phase nil means
// that the action does not decide; satisfy says how Granted and refusals (a Status or
// *Fail of 401 or 403) of several actions together decide.
type Action func(x *Exchange) error

// Handler makes a location's content. It responds and returns nil, or it returns an
// error and leaves the response alone.
type Handler interface {
	Serve(x *Exchange) error
}

// HandlerFunc is a function that serves as a Handler.
type HandlerFunc func(x *Exchange) error

// Serve calls f.
func (f HandlerFunc) Serve(x *Exchange) error { return f(x) }

// HeaderFilter is called just before the head of x.Res is sent. It may change x.Res, and
// may install a BodyFilter. Filters run in the order of modules.
type HeaderFilter func(x *Exchange) error

// BodyFilter transforms a response body and writes the result to next. A HeaderFilter
// takes one for each response from a pool; Close puts it back.
type BodyFilter interface {
	Write(next BodyWriter, p []byte) error
	Flush(next BodyWriter) error
	// Finish writes what is left; Close releases, also after errors.
	Finish(next BodyWriter) error
	Close()
}

// BodyWriter takes the output of a BodyFilter, for the next filter or the client.
type BodyWriter interface {
	Write(p []byte) (int, error)
	Flush() error
}

// Module is one feature: what it reads from the configuration, and what it adds to
// servers and locations. Only Name must be set.
type Module struct {
	Name       string
	Settings   config.Settings
	Directives []config.Directive
	Variables  []Variable
	State      []Slot // the slots of its state in exchanges, locations and connections
	// Content has the names of its directives that give a location its content.
	Content []string
	// Compile adds what the settings of s ask for to l. It is called for each location,
	// and for each server's own settings, after the whole configuration was read without
	// a mistake.
	Compile func(s *config.Scope, l *Location) error
	// Servers is called once, with the main Scope, after all servers were compiled and
	// before their addresses are bound. It may add to their Listens.
	Servers func(s *config.Scope, g *Generation) error
	// Generation is called once, with the main Scope, after the addresses were bound. It
	// makes pools and other things with a life of their own.
	Generation func(s *config.Scope, g *Generation) error
}
