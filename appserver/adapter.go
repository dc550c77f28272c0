package appserver

import (
	"time"

	"alicorn/appserver/asgi"
	"alicorn/appserver/gateway"
	"alicorn/appserver/pool"
	"alicorn/appserver/wire"
	"alicorn/appserver/wsgi"
)

// adapter is what differs between the kinds of workers, which have different interfaces to
// their applications.
type adapter struct {
	kind string // its name in the settings of a worker
	// streams says that, without app_request_buffering, a worker gets a body while it comes if
	// the body is long or its length is unknown.
	streams bool
	// maxTemp is the default of app_max_temp_file_size, in bytes.
	maxTemp int64
	// encode sets e to the environ of a request.
	encode func(e *wire.Environ, q gateway.Request)
	// line returns the method and the target of the request with that environ, for logs.
	line func(e *wire.Environ) string
	// settings returns the kind's own part of the settings of p's workers (PROTOCOL.md,
	// "Settings").
	settings func(a *App, p *program) map[string]any
}

// wsgiAdapter is for WSGI applications: PEP 3333.
var wsgiAdapter = adapter{
	kind: "wsgi", maxTemp: 256 << 20, encode: wsgi.Environ, line: wsgi.Line,
	settings: func(a *App, p *program) map[string]any {
		return map[string]any{"environ": wsgi.Constants(p.Threads)}
	},
}

// asgiAdapter is for ASGI 3.0 applications.
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
