package appserver

import (
	"alicorn/appserver/gateway"
	"alicorn/appserver/wire"
	"alicorn/appserver/wsgi"
)

// adapter is a kind of worker: what is special to the interface between its workers and
// their application.
type adapter struct {
	kind string // its name in the settings of a worker
	// encode makes the environ of a request, which e is to have.
	encode func(e *wire.Environ, q gateway.Request)
	// line returns the method and the target of a request with that environ, for people.
	line func(e *wire.Environ) string
	// settings returns the kind's own part of the settings of a's workers (PROTOCOL.md,
	// "Settings").
	settings func(a *App) map[string]any
}

// wsgiAdapter is for applications as PEP 3333 has them.
var wsgiAdapter = adapter{
	kind: "wsgi", encode: wsgi.Environ, line: wsgi.Line,
	settings: func(a *App) map[string]any {
		return map[string]any{"environ": wsgi.Constants(a.Threads)}
	},
}
