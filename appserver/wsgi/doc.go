// Package wsgi is how a request looks to a WSGI application (PEP 3333): what is special to
// this kind of worker. Environ makes the environ of a request, Constants are the keys that are
// the same in all environs of a worker. It knows no pool's queue, no directive and no process.
package wsgi

import "alicorn/proxy"

// Constants returns the keys that are the same in every environ of a worker with that many
// threads.
func Constants(threads int) map[string]any {
	return map[string]any{
		"SERVER_SOFTWARE": "alicorn/" + proxy.Version, "GATEWAY_INTERFACE": "CGI/1.1",
		"wsgi.multithread": threads > 1, "wsgi.multiprocess": true,
	}
}
