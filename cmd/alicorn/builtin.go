package main

import (
	"alicorn/proxy"

	"github.com/spf13/cobra"
)

// builtinFiles are the files for include that need not exist on disk.
func builtinFiles() map[string][]byte {
	return map[string][]byte{"mime.types": proxy.MimeTypesFile()}
}

// extraCommands returns the verbs that need no running server.
func extraCommands() []*cobra.Command {
	return []*cobra.Command{serveCommand(), installCommand(), uninstallCommand()}
}
