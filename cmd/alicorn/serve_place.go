package main

import "alicorn/config"

// flagsOf maps directives to flags: a mistake in a directive names the flag, since no
// file exists.
var flagsOf = map[string]string{
	"listen": "bind", "server": "domain", "server_name": "domain", "acme_ca": "acme-ca", "acme_email": "email", "tls_internal": "https",
	"ssl_certificate": "certfile", "ssl_certificate_key": "keyfile", "ssl_client_certificate": "ca-certs", "ssl_verify_client": "cert-reqs",
	"error_log": "error-logfile", "access_log": "access-logfile", "worker_shutdown_timeout": "graceful-timeout", "pid": "pid",
	"max_headers": "limit-request-fields", "daemon": "daemon", "keepalive_timeout": "keep-alive",
	"directory": "chdir", "workers": "workers", "threads": "threads", "timeout": "timeout", "heartbeat": "timeout",
	"graceful_timeout": "graceful-timeout", "max_requests": "max-requests", "pythonpath": "pythonpath", "env": "env",
	"secure_scheme_headers": schemesFlag, "forwarded_allow_ips": "forwarded-allow-ips", "user": "user", "group": "group",
	"alias": "static", "root": "static",
}

// place replaces the positions of the directives below n by names of flags.
func (f *serveFlags) place(n *config.Node) {
	for _, c := range n.Children {
		at := "serve"
		if flag := flagsOf[c.Name]; flag != "" && f.given[flag] != "" {
			at = f.given[flag]
		}
		c.Pos = config.Pos{File: at}
		for i := range c.Args {
			c.Args[i].Pos = c.Pos
		}
		f.place(c)
	}
}
