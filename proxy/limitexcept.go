package proxy

import (
	"fmt"
	"slices"
	"strings"

	"alicorn/config"
)

// except is the limit_except block of a location.
type except struct {
	methods  []string  // the methods that the block excepts
	location *Location // the settings for requests with any other method
}

// exceptMethods are the methods that limit_except can except, as in nginx.
var exceptMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "MKCOL", "COPY", "MOVE", "OPTIONS", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH"}

func (m core) setLimitExcept(s *config.Scope, n *config.Node) error {
	methods := &m.settings.In(s).location.methods
	for _, a := range n.Args {
		method := strings.ToUpper(a.Text)
		if !slices.Contains(exceptMethods, method) {
			return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("invalid method %q; it is one of %s", a.Text, strings.Join(exceptMethods, ", "))}
		}
		methods.Add(s, method)
		if method == "GET" {
			methods.Add(s, "HEAD")
		}
	}
	return nil
}

// forMethod returns the location whose settings are in effect for a request with this
// method in l.
func (l *Location) forMethod(method string) *Location {
	if l.except != nil && !slices.Contains(l.except.methods, method) {
		return l.except.location
	}
	return l
}
