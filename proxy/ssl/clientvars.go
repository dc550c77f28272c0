package ssl

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"alicorn/proxy"
	"alicorn/tls"
)

// clientVariables returns the variables about the client's certificate. Without a certificate
// only $ssl_client_verify has a value.
func (m module) clientVariables() []proxy.Variable {
	text := func(name string, f func(c *x509.Certificate) string) proxy.Variable {
		return proxy.Variable{Name: name, Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			if x.Conn.TLS == nil || len(x.Conn.TLS.PeerCertificates) == 0 {
				return dst, false
			}
			v := f(x.Conn.TLS.PeerCertificates[0])
			return append(dst, v...), v != ""
		}}
	}
	return []proxy.Variable{
		{Name: "ssl_client_verify", Get: m.verdict},
		text("ssl_client_s_dn", func(c *x509.Certificate) string { return tls.DistinguishedName(c.RawSubject) }),
		text("ssl_client_i_dn", func(c *x509.Certificate) string { return tls.DistinguishedName(c.RawIssuer) }),
		text("ssl_client_s_dn_legacy", func(c *x509.Certificate) string { return tls.LegacyName(c.RawSubject) }),
		text("ssl_client_i_dn_legacy", func(c *x509.Certificate) string { return tls.LegacyName(c.RawIssuer) }),
		text("ssl_client_serial", func(c *x509.Certificate) string { return serial(c.SerialNumber) }),
		text("ssl_client_fingerprint", func(c *x509.Certificate) string {
			sum := sha1.Sum(c.Raw)
			return hex.EncodeToString(sum[:])
		}),
		text("ssl_client_raw_cert", rawPEM),
		text("ssl_client_cert", func(c *x509.Certificate) string {
			return strings.ReplaceAll(strings.TrimSuffix(rawPEM(c), "\n"), "\n", "\n\t")
		}),
		text("ssl_client_escaped_cert", func(c *x509.Certificate) string { return string(proxy.EscapeComponent(nil, rawPEM(c))) }),
		text("ssl_client_v_start", func(c *x509.Certificate) string { return opensslTime(c.NotBefore) }),
		text("ssl_client_v_end", func(c *x509.Certificate) string { return opensslTime(c.NotAfter) }),
		text("ssl_client_v_remain", func(c *x509.Certificate) string {
			return strconv.FormatInt(max(0, (c.NotAfter.Unix()-time.Now().Unix())/(24*60*60)), 10)
		}),
	}
}

// verdict is $ssl_client_verify: the result of the Verifier of the request's server. It is
// never SUCCESS in a server that does not verify certificates.
func (m module) verdict(x *proxy.Exchange, dst []byte) ([]byte, bool) {
	switch {
	case x.Conn.TLS == nil:
		return dst, false
	case len(x.Conn.TLS.PeerCertificates) == 0:
		return append(dst, "NONE"...), true
	}
	if r := m.settings.In(x.Server.Scope).client.judge(x); r != nil {
		return append(append(dst, "FAILED:"...), r.Reason...), true
	}
	return append(dst, "SUCCESS"...), true
}

// serial returns a serial number as OpenSSL prints it: whole bytes in hexadecimal.
func serial(n *big.Int) string {
	digits := fmt.Sprintf("%X", new(big.Int).Abs(n))
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	if n.Sign() < 0 {
		return "-" + digits
	}
	return digits
}

func rawPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func opensslTime(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }
