package appserver

import (
	"time"

	"alicorn/appserver/asgi"
	"alicorn/appserver/gateway"
	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
	"alicorn/appserver/wsgi"
)

// adapter is a kind of worker: what is special to the interface between its workers and
// their application.
type adapter struct {
	kind string // its name in the settings of a worker
	// streams: without app_request_buffering a worker gets a body that is long or has no known
	// length while it comes.
	streams bool
	// maxTemp is how many bytes of an answer may wait in a temporary file without
	// app_max_temp_file_size.
	maxTemp int64
	// encode makes the environ of a request, which e is to have.
	encode func(e *wire.Environ, q gateway.Request)
	// line returns the method and the target of a request with that environ, for people.
	line func(e *wire.Environ) string
	// settings returns the kind's own part of the settings of p's workers (PROTOCOL.md,
	// "Settings").
	settings func(a *App, p *program) map[string]any
}

// wsgiAdapter is for applications as PEP 3333 has them.
var wsgiAdapter = adapter{
	kind: "wsgi", maxTemp: 256 << 20, encode: wsgi.Environ, line: wsgi.Line,
	settings: func(a *App, p *program) map[string]any {
		return map[string]any{"environ": wsgi.Constants(p.Threads)}
	},
}

// asgiAdapter is for applications as ASGI 3.0 has them.
var asgiAdapter = adapter{
	kind: "asgi", streams: true, encode: asgi.Scope, line: asgi.Line,
	settings: func(a *App, p *program) map[string]any {
		return map[string]any{
			"streams": p.Streams, "index_bits": pool.IndexBits(p.Streams),
			"loop": a.asgi.loop, "lifespan": a.asgi.lifespan, "root_path": a.asgi.rootPath, "stripped": a.asgi.stripped,
			"graceful": int(p.GracefulTimeout / time.Millisecond),
		}
	},
}
