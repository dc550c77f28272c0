package tls

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

type curve struct {
	names []string // the first is OpenSSL's own
	id    tls.CurveID
}

// curves are crypto/tls's groups for key exchange.
var curves = []curve{
	{[]string{"X25519MLKEM768"}, tls.X25519MLKEM768},
	{[]string{"SecP256r1MLKEM768"}, tls.SecP256r1MLKEM768},
	{[]string{"SecP384r1MLKEM1024"}, tls.SecP384r1MLKEM1024},
	{[]string{"X25519", "x25519"}, tls.X25519},
	{[]string{"prime256v1", "P-256", "secp256r1"}, tls.CurveP256},
	{[]string{"secp384r1", "P-384"}, tls.CurveP384},
	{[]string{"secp521r1", "P-521"}, tls.CurveP521},
}

// CurveName returns OpenSSL's name of a group, as nginx's $ssl_curve shows it; "" for an
// unknown one.
func CurveName(id tls.CurveID) string {
	for _, c := range curves {
		if c.id == id {
			return c.names[0]
		}
	}
	return ""
}

// CurveList reads a list of groups by OpenSSL's names, such as "X25519:prime256v1", for
// Options.Curves. "auto" is Go's default, nil. dropped has the names that Go does not have.
// A list without a name that Go has is an error.
func CurveList(list string) (ids []tls.CurveID, dropped []string, err error) {
	if list == "auto" {
		return nil, nil, nil
	}
	for _, name := range strings.Split(list, ":") {
		name = strings.TrimLeft(name, "?*")
		i := slices.IndexFunc(curves, func(c curve) bool { return slices.Contains(c.names, name) })
		if i < 0 {
			dropped = append(dropped, name)
			continue
		}
		ids = append(ids, curves[i].id)
	}
	if len(ids) == 0 {
		return nil, dropped, fmt.Errorf("no curve of %q is left that can be used here", list)
	}
	return ids, dropped, nil
}
