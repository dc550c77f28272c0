package main

import (
	"alicorn/proxy"

	"github.com/spf13/cobra"
)

// builtinFiles are the files for include that need not exist on disk: those that come
// with nginx, or with Debian's package of it.
func builtinFiles() map[string][]byte {
	return map[string][]byte{"mime.types": proxy.MimeTypesFile(), "proxy_params": []byte(proxyParams)}
}

// proxyParams is Debian's proxy_params. Its Host was $http_host before, which a client
// may send without any relation to what it asks for.
const proxyParams = `proxy_set_header Host $host;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
`

// extraCommands returns the verbs that need no running server.
func extraCommands() []*cobra.Command {
	return []*cobra.Command{serveCommand(), installCommand(), uninstallCommand()}
}
