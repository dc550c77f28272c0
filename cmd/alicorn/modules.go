package main

import (
	"slices"

	"alicorn/appserver"
	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/access"
	"alicorn/proxy/accesslog"
	"alicorn/proxy/acme"
	"alicorn/proxy/authbasic"
	"alicorn/proxy/authrequest"
	"alicorn/proxy/charset"
	"alicorn/proxy/compress"
	"alicorn/proxy/errorlog"
	"alicorn/proxy/geo"
	"alicorn/proxy/header"
	"alicorn/proxy/http1"
	"alicorn/proxy/limit"
	"alicorn/proxy/mirror"
	"alicorn/proxy/proxypass"
	"alicorn/proxy/realip"
	"alicorn/proxy/referer"
	"alicorn/proxy/resolver"
	"alicorn/proxy/rewrite"
	"alicorn/proxy/splitclients"
	"alicorn/proxy/ssl"
	"alicorn/proxy/stubstatus"
	"alicorn/proxy/transport"
	"alicorn/proxy/varmap"
	"alicorn/proxy/websocket"
	"alicorn/static"
)

// features are the options of the modules.
type features struct {
	core     proxy.Options
	errorLog errorlog.Options
	apps     *appserver.Runtime
	acme     acme.Options
}

// protocols are what clients' connections speak, and what TLS offers them.
func protocols() transport.Protocols {
	return transport.Protocols{{Name: transport.HTTP1, Serve: http1.Serve}, {Name: transport.HTTP10, Serve: http1.Serve}}
}

// modules is THE ordered list of features. Within a phase, actions and filters
// run in this order; the fallback for content, static files, comes last.
func modules(f features) []proxy.Module {
	names, sockets := resolver.New(), websocket.New()
	f.acme.Resolver = names.First
	automatic := acme.New(f.acme)
	return slices.Concat([]proxy.Module{
		proxy.NewCore(f.core),
		errorlog.Module(f.errorLog),
		accesslog.Module(),
		names.Module(),
		automatic.Module(),
		ssl.New(protocols().Names(), automatic),
		realip.Module(),
		varmap.Module(),
		geo.Module(),
		splitclients.Module(),
		referer.Module(),
		rewrite.Module(),
		static.Expires(),
		limit.Module(),
		access.Module(),
		authbasic.Module(),
		authrequest.Module(),
		header.Module(),
		charset.Module(),
		compress.Module(),
		stubstatus.Module(),
		sockets.Module(),
		appserver.Module(f.apps, sockets),
	}, proxypass.Modules(proxypass.Options{Loops: f.apps.Loops(), Temporary: f.apps.Temporary, Resolver: names}), []proxy.Module{
		static.Module(),
		mirror.Module(mirror.Options{Temporary: f.apps.Temporary}), // as in nginx behind try_files
	})
}

// process has the directives about the process itself. It is not in the list,
// since they do not concern requests.
type process struct {
	key *config.Key[processSettings]
}

// schemaOf returns the Schema of the modules and of the process's directives.
func schemaOf(mods []proxy.Module, p process) *config.Schema {
	sc := config.NewSchema()
	sc.Foreign, sc.ForeignNear = proxy.NginxDirective, proxy.NginxDirectiveNear
	sc.Add(p.key, p.directives())
	proxy.Register(sc, mods)
	return sc
}
