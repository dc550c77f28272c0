package main

import (
	"alicorn/proxy"

	"github.com/spf13/cobra"
)

// builtinFiles are what include finds when there is no such file on disk.
func builtinFiles() map[string][]byte {
	return map[string][]byte{"mime.types": proxy.MimeTypesFile()}
}

// extraCommands are the verbs besides those of a running server.
func extraCommands() []*cobra.Command {
	return []*cobra.Command{serveCommand(), installCommand(), uninstallCommand()}
}
