// Package deploy holds the files of an installed Alicorn: the systemd unit and
// the configuration to begin with. The Debian package and the verb install
// place the same ones.
package deploy

import _ "embed"

// Unit is the systemd unit; it starts /usr/bin/alicorn.
//
//go:embed alicorn.service
var Unit string

// Config is /etc/alicorn/alicorn.conf.
//
//go:embed alicorn.conf
var Config string

// DefaultSite is /etc/alicorn/conf.d/default.conf.
//
//go:embed default.conf
var DefaultSite string
