// Package wsgi is how a request and its answer look to a WSGI application (PEP 3333): what
// is special to this kind of worker. Environ makes the environ of an Exchange, ParseHead
// reads status and header fields of an answer, Constants are the keys that are the same in
// all environs of a worker. It knows no pool's queue, no directive and no process.
package wsgi

import "alicorn/proxy"

// Kind names this kind of worker in the worker's settings.
const Kind = "wsgi"

// Constants returns the keys that are the same in every environ of a worker with that many
// threads.
func Constants(threads int) map[string]any {
	return map[string]any{
		"SERVER_SOFTWARE": "alicorn/" + proxy.Version, "GATEWAY_INTERFACE": "CGI/1.1",
		"wsgi.multithread": threads > 1, "wsgi.multiprocess": true,
	}
}
