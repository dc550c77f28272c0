// Package deploy holds the files of an installed Alicorn: the systemd units,
// the rotation of logs and the configuration to begin with. The Debian package
// and the verb install place the same ones.
package deploy

import _ "embed"

// Unit is the systemd unit; it starts /usr/bin/alicorn.
//
//go:embed alicorn.service
var Unit string

// Socket is the systemd unit of the service's addresses, for who wants it.
//
//go:embed alicorn.socket
var Socket string

// Logrotate is /etc/logrotate.d/alicorn; it runs the alicorn of PATH.
//
//go:embed alicorn.logrotate
var Logrotate string

// Config is /etc/alicorn/alicorn.conf.
//
//go:embed alicorn.conf
var Config string

// DefaultSite is /etc/alicorn/conf.d/default.conf.
//
//go:embed default.conf
var DefaultSite string
