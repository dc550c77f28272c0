package appserver

import (
	"fmt"

	"alicorn/config"
)

// Front is a user of the process that speaks to clients. That process has private keys and all
// requests in its memory, so no worker runs as its user if the server is started as root.
type Front struct {
	UID  int
	Name string
	Pos  config.Pos // of the directive that names it; the zero Pos: it is the default
}

// said returns the front's user and the place of its directive, for messages.
func (f Front) said() string {
	if f.Pos == (config.Pos{}) {
		return fmt.Sprintf("%q by default", f.Name)
	}
	return fmt.Sprintf("%q by the user directive at %s", f.Name, f.Pos)
}

// fronts finds the users of a configuration's front.
type fronts struct {
	find func(main *config.Scope) []Front
}

// SetFront sets the function that returns the users of the front of l's configuration: the one
// that the configuration names and, if it differs, the one that the front runs as now.
func SetFront(l *config.Load, find func(main *config.Scope) []Front) {
	config.Shared(l, func() *fronts { return &fronts{} }).find = find
}

// frontsOf returns the users that no worker may run as.
func frontsOf(s *config.Scope) []Front {
	f := config.Shared(s.Load(), func() *fronts { return &fronts{} })
	if f.find == nil {
		return nil
	}
	return f.find(s.Main())
}

// sharedBy returns the front among fronts that has this user.
func (c *credentials) sharedBy(fronts []Front) (Front, bool) {
	for _, f := range fronts {
		if f.UID == c.UID {
			return f, true
		}
	}
	return Front{}, false
}
