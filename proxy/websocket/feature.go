package websocket

import (
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// Feature is the feature: its directives, and the settings of each location.
type Feature struct {
	settings *config.Key[settings]
	rules    *proxy.LocationSlot[*rules]
	waits    waits
}

// waits bound the end of a connection.
type waits struct {
	// close is how long the client may take to answer a close.
	close time.Duration
	// fault is how long what the client sends is dropped after its fault: a connection
	// that is closed with unread bytes is reset, and the client may never see the close.
	fault time.Duration
}

// settings are what the directives of one block say.
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
	allowed []origin // none: any origin may connect
	waits
}

// The defaults, which are uvicorn's.
const (
	defaultMaxMessage = 16 << 20
	defaultPing       = 20 * time.Second
	closeWait         = 10 * time.Second
	faultWait         = 5 * time.Second // nginx's lingering_timeout
)

// New returns the feature.
func New() *Feature {
	return &Feature{waits: waits{close: closeWait, fault: faultWait}, rules: new(proxy.LocationSlot[*rules]), settings: config.NewKey(func() settings {
		return settings{maxMessage: defaultMaxMessage, pingInterval: defaultPing, pingTimeout: defaultPing, compress: true}
	})}
}

// Module returns what the feature adds to a configuration.
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
