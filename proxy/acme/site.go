package acme

import (
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/proxy"
	"alicorn/tls/acme"
)

// site is what the feature decides for one server.
type site struct {
	source   *acme.Source
	wants    []*acme.Want
	redirect bool   // port 80 was opened for it, to redirect from
	why      string // why there are no wants
}

// variable stands in ssl_certificate with nginx's ACME module.
const variable = "$acme_certificate"

// servers finds the servers that need certificates, and opens port 80 for them.
func (f *Feature) servers(main *config.Scope, g *proxy.Generation) error {
	var errs config.Errors
	for _, sv := range g.Servers {
		c := f.settings.In(sv.Scope)
		automatic, err := f.automatic(sv, c)
		if err == nil && automatic {
			c.site, err = f.site(main.Load(), sv, c)
		}
		if err != nil {
			errs.Add(c.pos(sv), "%s", err)
		}
	}
	if len(errs) > 0 {
		return errs
	}
	for _, sv := range g.Servers {
		if c := f.settings.In(sv.Scope); c.site != nil && len(c.site.wants) > 0 && !c.internal {
			join := c.redirect && c.certificate == nil // nginx's module leaves port 80 to the operator
			c.site.redirect = openPort80(g, sv, join) && c.redirect
		}
	}
	return nil
}

// pos returns the position to report mistakes of sv's certificates at.
func (c *settings) pos(sv *proxy.Server) config.Pos {
	if c.certificate != nil {
		return c.certificate.node.Pos
	}
	return sv.Pos
}

// automatic reports whether sv has automatic certificates.
func (f *Feature) automatic(sv *proxy.Server, c *settings) (bool, error) {
	ssl := slices.ContainsFunc(sv.Listens, func(l *proxy.Listen) bool { return l.SSL })
	named := sv.Scope.Nearest("ssl_certificate")
	mine := named != nil && named.Arg(0) == variable
	reject := sv.Scope.Nearest("ssl_reject_handshake")
	switch {
	case c.certificate == nil && mine:
		return false, errors.New("ssl_certificate $acme_certificate needs acme_certificate in the server")
	case c.certificate != nil && named != nil && !mine:
		return false, fmt.Errorf("acme_certificate has no use beside the ssl_certificate at %s", named.Pos)
	case c.certificate != nil && !ssl:
		return false, errors.New("acme_certificate has no use in a server without \"listen ... ssl\"")
	case reject != nil && reject.Arg(0) == "on":
		return false, nil
	}
	return ssl && (named == nil || mine), nil
}

// site decides which certificates sv needs.
func (f *Feature) site(l *config.Load, sv *proxy.Server, c *settings) (*site, error) {
	t := &site{}
	var err error
	if t.source, err = config.Hold(l.Resources, "acme", func() (*acme.Source, error) {
		return acme.NewSource(acme.Options{}), nil
	}); err != nil {
		return nil, err
	}
	names, why := namesFor(sv, c)
	for _, w := range why {
		l.Note(c.pos(sv), "%s", w)
	}
	if len(names) == 0 {
		t.why = "and none can be obtained: " + strings.Join(why, "; ")
		if c.certificate != nil {
			return nil, fmt.Errorf("acme_certificate: no certificate can be ordered: %s", strings.Join(why, "; "))
		}
		return t, nil
	}
	issuers, err := f.issuers(c)
	if err != nil {
		return nil, err
	}
	server := ""
	if f.options.Resolver != nil {
		server = f.options.Resolver(sv.Scope)
	}
	for _, name := range names {
		w := &acme.Want{Name: name, Issuers: issuers, DNSHook: slices.Clone(c.hook.Items()), Resolver: server}
		if c.certificate != nil {
			w.Key = c.certificate.key
		}
		if c.internal {
			w.Internal, w.Folder, w.Issuers = true, f.state("acme"), nil
		}
		t.wants = append(t.wants, w)
		storeIn(l, c.pos(sv), w.State())
		for _, i := range w.Issuers {
			storeIn(l, c.pos(sv), i.State)
		}
		l.Note(c.pos(sv), "the certificate for %s is obtained automatically, from %s", name, sources(w))
	}
	return t, nil
}

// storeIn records that accounts, keys and certificates are in the folder state.
func storeIn(l *config.Load, pos config.Pos, state string) {
	l.Writes(pos, osfile.Folder{Path: state, Mode: 0o700, Holds: acme.Holds})
	l.Hides(state)
}

// sources returns a text that names the authorities of w.
func sources(w *acme.Want) string {
	if w.Internal {
		return "the local authority"
	}
	labels := make([]string, len(w.Issuers))
	for i, issuer := range w.Issuers {
		labels[i] = issuer.Label()
	}
	return strings.Join(labels, ", then ")
}

// namesFor returns the names of sv that get certificates; why says for each other
// name why it gets none.
func namesFor(sv *proxy.Server, c *settings) (names, why []string) {
	candidates := sv.Names()
	if c.certificate != nil && len(c.certificate.names) > 0 {
		candidates = c.certificate.names
	}
	for _, written := range candidates {
		forms := []string{written}
		if bare, ok := strings.CutPrefix(written, "."); ok {
			forms = []string{bare, "*." + bare}
		}
		for _, form := range forms {
			name, err := ascii(form)
			if err == nil {
				err = c.judge(name)
			}
			if err != nil {
				why = append(why, fmt.Sprintf("%q: %s", form, err))
			} else if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if c.internal && len(names) == 0 {
		return []string{"localhost"}, nil
	}
	return names, why
}

// judge returns why there can be no certificate for name.
func (c *settings) judge(name string) error {
	switch {
	case c.internal:
		if name == "" || name == "_" {
			return errors.New("it is not a host name")
		}
		return nil
	case strings.HasPrefix(name, "*.") && len(c.hook.Items()) == 0:
		return errors.New("a wildcard needs acme_dns_hook")
	case c.certificate != nil:
		return acme.Orderable(name) // the operator's own authority may certify it
	}
	return acme.Public(name)
}

// ascii returns name in the form that certificates have (RFC 5890).
func ascii(name string) (string, error) {
	prefix := ""
	if bare, ok := strings.CutPrefix(name, "*."); ok {
		prefix, name = "*.", bare
	}
	if strings.ContainsAny(name, "*_") || name == "" {
		return prefix + name, nil
	}
	a, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return "", errors.New("it is not a host name")
	}
	return prefix + a, nil
}

// issuers returns the issuers that are asked for c's certificates.
func (f *Feature) issuers(c *settings) ([]*acme.Issuer, error) {
	if c.certificate != nil {
		name := c.certificate.node.Arg(0)
		i := c.file.issuer(name)
		if i == nil {
			return nil, fmt.Errorf("acme_certificate: there is no acme_issuer %q", name)
		}
		return []*acme.Issuer{i}, nil
	}
	urls := c.urls.Items()
	switch {
	case c.internal:
		return nil, nil
	case c.staging:
		urls = []string{acme.Staging}
	case len(urls) == 0 && len(c.file.issuers) > 0:
		return c.file.issuers, nil
	case len(urls) == 0:
		urls = []string{acme.LetsEncrypt}
	}
	var out []*acme.Issuer
	for _, url := range urls {
		i := &acme.Issuer{Directory: url, AcceptTerms: true, State: f.state("acme")}
		if c.email != "" {
			i.Contacts = []string{contact(c.email)}
		}
		if err := i.Check(); err != nil {
			return nil, fmt.Errorf("acme_ca: %w", err)
		}
		out = append(out, i)
	}
	return out, nil
}

// openPort80 has sv listen on port 80 beside each port 443 of its own, and
// reports whether it did. It does so where no server listens on port 80 of that
// address family; with join also where none of those that do has a name of sv.
func openPort80(g *proxy.Generation, sv *proxy.Server, join bool) (opened bool) {
	for _, l := range slices.Clone(sv.Listens) {
		host, port, err := net.SplitHostPort(l.Address)
		if err != nil || !l.SSL || port != "443" {
			continue
		}
		wanted := proxy.Listen{Pos: l.Pos, Network: l.Network, Address: net.JoinHostPort(host, "80"), Optional: true, Options: config.ListenOptions{V6Only: l.Options.V6Only}}
		there, covered, named := othersOn80(g, &wanted, sv)
		if there && (!join || !covered || named) {
			continue
		}
		opened = true
		sv.Listens = append(sv.Listens, &wanted)
	}
	return opened
}

// othersOn80 looks at the servers that listen on port 80 of l's address family:
// whether there are any, whether one has an address that covers l's, and whether
// one is sv or has a name of sv.
func othersOn80(g *proxy.Generation, l *proxy.Listen, sv *proxy.Server) (there, covered, named bool) {
	for _, other := range g.Servers {
		for _, o := range other.Listens {
			if o.Network != l.Network || o.Optional || portOf(o.Address) != "80" {
				continue
			}
			there = true
			covered = covered || o.Covers(l)
			named = named || other == sv || slices.ContainsFunc(sv.Names(), func(name string) bool { return mayBeFor(other, name) })
		}
	}
	return there, covered, named
}

// mayBeFor reports whether name is, or may be, a name of sv.
func mayBeFor(sv *proxy.Server, name string) bool {
	named, err := sv.Named(name)
	return named || err != nil
}

func portOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return port
}

var errNoCertificate = errors.New("there is no certificate yet")

// certificates returns the certificate for a handshake: the one for the name
// that the client asks for, else the first that there is.
func (t *site) certificates(hello *stdtls.ClientHelloInfo) ([]*stdtls.Certificate, error) {
	for _, w := range t.wants {
		if covers(w.Name, strings.ToLower(hello.ServerName)) {
			if c := t.source.Certificate(w.Name); c != nil {
				return []*stdtls.Certificate{c}, nil
			}
		}
	}
	for _, w := range t.wants {
		if c := t.source.Certificate(w.Name); c != nil {
			return []*stdtls.Certificate{c}, nil
		}
	}
	return nil, errNoCertificate
}

// covers reports whether a certificate for name is one for host.
func covers(name, host string) bool {
	if bare, ok := strings.CutPrefix(name, "*."); ok {
		_, rest, _ := strings.Cut(host, ".")
		return rest == bare
	}
	return name == host
}
