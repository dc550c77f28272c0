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
}

// The defaults, which are uvicorn's.
const (
	defaultMaxMessage = 16 << 20
	defaultPing       = 20 * time.Second
)

// New returns the feature.
func New() *Feature {
	return &Feature{rules: new(proxy.LocationSlot[*rules]), settings: config.NewKey(func() settings {
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
			f.rules.Set(l, &rules{settings: *c, allowed: c.origins.Items()})
			return nil
		},
	}
}
