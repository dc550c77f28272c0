package websocket

import (
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// Feature has the directives of WebSockets, and the settings of each location.
type Feature struct {
	settings *config.Key[settings]
	rules    *proxy.LocationSlot[*rules]
	waits    waits
}

// waits bound the end of a connection.
type waits struct {
	// close is how long the client may take to answer a close.
	close time.Duration
	// fault is how long bytes of the client are dropped after it has broken a rule, or
	// while the server ends the connection. A connection that closes with unread bytes is
	// reset, and the client may lose the close.
	fault time.Duration
}

// settings are the settings of one block.
type settings struct {
	maxMessage   int64
	pingInterval time.Duration
	pingTimeout  time.Duration
	rate         rate
	origins      config.List[origin]
	compress     bool
}

// rules are the settings of one location.
type rules struct {
	settings
	allowed []origin // if it is empty, any origin is allowed
	waits
}

// Defaults.
const (
	defaultMaxMessage = 16 << 20         // of uvicorn
	defaultPing       = 20 * time.Second // of uvicorn, for interval and timeout
	closeWait         = 10 * time.Second
	faultWait         = 5 * time.Second // of nginx's lingering_timeout
)

// New returns a Feature.
func New() *Feature {
	return &Feature{waits: waits{close: closeWait, fault: faultWait}, rules: new(proxy.LocationSlot[*rules]), settings: config.NewKey(func() settings {
		return settings{maxMessage: defaultMaxMessage, pingInterval: defaultPing, pingTimeout: defaultPing, compress: true}
	})}
}

// Module returns the feature as a proxy.Module.
func (f *Feature) Module() proxy.Module {
	return proxy.Module{
		Name:       "websocket",
		Settings:   f.settings,
		Directives: directives(f.settings),
		State:      []proxy.Slot{f.rules},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			c := f.settings.In(s)
			f.rules.Set(l, &rules{settings: *c, allowed: c.origins.Items(), waits: f.waits})
			return nil
		},
	}
}
