package acme

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/caddyserver/certmagic"
)

// private are the domains that no public authority certifies: those that RFC 2606, RFC 6761,
// RFC 6762, RFC 8375 and RFC 9476 reserve, and the usual ones of local networks.
var private = []string{"test", "example", "invalid", "localhost", "local", "internal", "alt", "onion", "home.arpa", "lan", "home", "corp", "intranet", "localdomain"}

// Orderable returns an error that says why no authority can be asked for a certificate of
// name, or nil. name must not be a regular expression of server_name.
func Orderable(name string) error {
	bare := strings.TrimPrefix(name, "*.")
	_, addr := netip.ParseAddr(name)
	switch {
	case name == "" || name == "_":
		return errors.New("it is not a host name")
	case addr == nil:
		return errors.New("it is an address")
	case bare == "localhost" || strings.HasSuffix(bare, ".localhost"):
		return errors.New("it is this machine's own name")
	case !certmagic.SubjectQualifiesForCert(name) || strings.Contains(bare, "*") || strings.Contains(bare, ".."):
		return errors.New("it is not a host name")
	}
	return nil
}

// Public returns an error that says why no public authority certifies name, or nil if one may.
func Public(name string) error {
	if err := Orderable(name); err != nil {
		return err
	}
	bare := strings.TrimPrefix(name, "*.")
	if !strings.Contains(bare, ".") {
		return errors.New("it has no domain")
	}
	for _, top := range private {
		if strings.HasSuffix(bare, "."+top) {
			return fmt.Errorf("names under .%s are private", top)
		}
	}
	return nil
}
