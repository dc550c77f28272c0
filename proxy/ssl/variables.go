package ssl

import (
	stdtls "crypto/tls"

	"alicorn/proxy"
	"alicorn/tls"
)

// variables returns the variables about a handshake. Without TLS they are not found.
func variables() []proxy.Variable {
	text := func(name string, f func(c *stdtls.ConnectionState) string) proxy.Variable {
		return proxy.Variable{Name: name, Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			if x.Conn.TLS == nil {
				return dst, false
			}
			v := f(x.Conn.TLS)
			return append(dst, v...), v != ""
		}}
	}
	return []proxy.Variable{
		text("ssl_protocol", func(c *stdtls.ConnectionState) string { return tls.VersionName(c.Version) }),
		text("ssl_cipher", func(c *stdtls.ConnectionState) string { return tls.CipherName(c.CipherSuite) }),
		text("ssl_curve", func(c *stdtls.ConnectionState) string { return tls.CurveName(c.CurveID) }),
		text("ssl_alpn_protocol", func(c *stdtls.ConnectionState) string { return c.NegotiatedProtocol }),
		// Early data is never accepted.
		text("ssl_early_data", func(*stdtls.ConnectionState) string { return "" }),
		text("ssl_server_name", func(c *stdtls.ConnectionState) string { return c.ServerName }),
		text("ssl_session_reused", func(c *stdtls.ConnectionState) string {
			if c.DidResume {
				return "r"
			}
			return "."
		}),
		{Name: "ssl_ciphers", Lacks: lacks},
		{Name: "ssl_curves", Lacks: lacks},
		{Name: "ssl_session_id", Lacks: lacks},
		{Name: "ssl_sigalg", Lacks: lacks},
		{Name: "ssl_client_sigalg", Lacks: lacks},
	}
}

const lacks = "nginx has it, but Go's crypto/tls does not report it"
