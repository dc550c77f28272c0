package proxypass

import "alicorn/config"

// gateway is what a block says that concerns uwsgi, FastCGI and SCGI.
type gateway struct {
	keepConn bool                // fastcgi_keep_conn
	catch    config.List[string] // fastcgi_catch_stderr
}
