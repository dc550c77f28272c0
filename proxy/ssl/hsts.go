package ssl

import (
	"alicorn/config"
	"alicorn/proxy"
)

// compile adds the location's HSTS field and client verification.
func (m module) compile(s *config.Scope, l *proxy.Location) error {
	if m.settings.In(s).hsts {
		l.FilterHeader(addHSTS)
	}
	return m.verify(s, l)
}

const hstsName = "Strict-Transport-Security"

// addHSTS adds the field to responses over TLS. Browsers must ignore it in others (RFC 6797
// section 8.1).
func addHSTS(x *proxy.Exchange) error {
	if x.Conn.TLS == nil || x.Res.Header.Get(hstsName) != "" {
		return nil
	}
	x.Res.Header.Add(hstsName, "max-age=31536000")
	return nil
}
