package ssl_test

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestClientsAreJudgedAsByNginx sends certificates of many kinds to servers of each mode, ours
// and nginx's, and compares status and verdict. Servers with lists of revoked certificates get
// only certificates without another fault: of several faults nginx reports the last one that
// OpenSSL finds.
func TestClientsAreJudgedAsByNginx(t *testing.T) {
	dir := t.TempDir()
	root, strange := newAuthority(t, dir, "root"), newAuthority(t, dir, "strange")
	root.server(t, "site", "site.example", false)
	between := root.authority(t, "between", pkix.Name{CommonName: "Between"})
	below := between.authority(t, "below", pkix.Name{CommonName: "Below"})
	bob := root.client(t, "bob")
	auth := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	clients := map[string]stdtls.Certificate{
		"nobody": {}, "good": root.client(t, "ann"), "revoked": bob,
		"by a CA below, shown":       with(between.client(t, "cat"), between.cert),
		"by a CA below, not shown":   between.client(t, "dan"),
		"by a CA two below":          with(below.client(t, "eve"), below.cert, between.cert),
		"by a stranger":              strange.client(t, "fay"),
		"by a stranger, with its CA": with(strange.client(t, "gus"), strange.cert),
		"expired":                    root.issue(t, "hal", &x509.Certificate{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour), ExtKeyUsage: auth}),
		"not valid yet":              root.issue(t, "ida", &x509.Certificate{NotBefore: time.Now().Add(time.Hour), ExtKeyUsage: auth}),
		"expired, by a stranger":     strange.issue(t, "jon", &x509.Certificate{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour), ExtKeyUsage: auth}),
		"for servers only":           root.issue(t, "kim", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}),
		"for anything":               root.issue(t, "leo", &x509.Certificate{}),
		"its own":                    with(stdtls.Certificate{PrivateKey: strange.key}, strange.cert),
		"the root's own":             with(stdtls.Certificate{PrivateKey: root.key}, root.cert),
	}
	next := time.Now().Add(time.Hour)
	root.revoke(t, "root.crl", next, parse(t, bob.Certificate[0]).SerialNumber)
	between.revoke(t, "between.crl", next)
	root.revoke(t, "old.crl", time.Now().Add(-time.Hour))
	strange.revoke(t, "strange.crl", next, big.NewInt(1))
	bundle(t, dir, "both.crl", "root.crl", "between.crl")
	text := "ssl_certificate FILES/site.crt; ssl_certificate_key FILES/site.key; ssl_protocols TLSv1.2 TLSv1.3;"
	var names []string
	for _, settings := range []string{"", "ssl_verify_depth 0;", "ssl_verify_depth 2;", "ssl_crl FILES/root.crl;", "ssl_crl FILES/both.crl;", "ssl_crl FILES/old.crl;", "ssl_crl FILES/strange.crl;", "ssl_trusted_certificate FILES/between.crt;"} {
		for _, mode := range []string{"on", "optional", "optional_no_ca"} {
			names = append(names, mode+" "+settings)
			text += fmt.Sprintf(`server { LISTEN ssl; server_name s%d.example; ssl_verify_client %s; ssl_client_certificate FILES/root.crt; %s error_page 495 496 =200 /no;
				location / { return 200 "yes $ssl_client_verify"; } location = /no { return 200 "no $status $ssl_client_verify"; } }`, len(names)-1, mode, settings)
		}
	}
	p := beside(t, dir, text)
	oneFault := []string{"nobody", "good", "revoked", "by a CA below, shown", "by a CA below, not shown", "by a stranger", "for anything"}
	for i, name := range names {
		for who, cert := range clients {
			if strings.Contains(name, "ssl_crl") && !slices.Contains(oneFault, who) {
				continue
			}
			for _, version := range []uint16{stdtls.VersionTLS12, stdtls.VersionTLS13} {
				host := fmt.Sprintf("s%d.example", i)
				c := asClient(host, &cert)
				c.MaxVersion = version
				ours, nginx := p.both(t, func(nc net.Conn) string { return get(nc, c, headFor(host)) })
				if ours != nginx {
					t.Errorf("%s, %s, %x:\nours  %s\nnginx %s", name, who, version, ours, nginx)
				}
			}
		}
	}
}
