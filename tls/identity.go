package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"slices"
	"strings"
	"time"
)

// Options are a server's settings of TLS. The zero value means TLS 1.2 and newer,
// without resumption of sessions.
type Options struct {
	MinVersion uint16 // a tls.VersionTLS number; 0: TLS 1.2
	MaxVersion uint16 // 0: the newest
	// Protocols are the protocols that ALPN (RFC 7301) may choose, the preferred one first;
	// nil: the handshake chooses none, whatever the client offers.
	Protocols []string
	// Tickets encrypts the sessions that clients keep; nil: Sessions is used.
	Tickets *Tickets
	// Sessions keeps the sessions of clients of TLS 1.3 if there are no Tickets. Clients of
	// TLS 1.2 then do a full handshake. If both are nil no session resumes.
	Sessions *Sessions
	// SessionLife is how long after its beginning a session may resume, at most seven days.
	SessionLife time.Duration
	// Ciphers are the suites for TLS 1.2 and before, whose order does not matter; nil: Go's
	// default.
	Ciphers []uint16
	// Curves are the groups for key exchange, whose order does not matter; nil: Go's default.
	Curves []tls.CurveID
	// Load, unless nil, returns the certificates for a handshake, in place of those of the
	// Identity. Its error ends the handshake.
	Load func(hello *tls.ClientHelloInfo) ([]*tls.Certificate, error)
	// Staples returns OCSP responses for certificates that have none. It may be nil.
	Staples map[*tls.Certificate]Stapler
	// Clients, unless nil, makes handshakes ask clients for a certificate of its CAs. The
	// handshake succeeds without one, and with one that Clients does not accept: the server
	// verifies the certificate when a request has come.
	Clients *Verifier
}

// Stapler returns one certificate's OCSP response in DER format, nil while there is none.
// It does not wait.
type Stapler interface{ Response() []byte }

// Identity is the certificates and the settings of one server's handshakes.
type Identity struct {
	certs  []*tls.Certificate // those with the cheapest signatures first
	load   func(hello *tls.ClientHelloInfo) ([]*tls.Certificate, error)
	staple map[*tls.Certificate]Stapler
	config *tls.Config
	older  *tls.Config // for clients of TLS 1.2 and before
}

// NewIdentity returns an Identity. A handshake uses the cheapest of certs that the client
// can verify. There must be at least one, unless o.Load is set.
func NewIdentity(certs []*tls.Certificate, o Options) *Identity {
	id := &Identity{certs: byCost(certs), load: o.Load, staple: o.Staples}
	id.config = &tls.Config{
		GetCertificate:   id.certificate,
		MinVersion:       o.MinVersion,
		MaxVersion:       o.MaxVersion,
		CipherSuites:     o.Ciphers,
		CurvePreferences: o.Curves,
		NextProtos:       o.Protocols,
	}
	if o.MinVersion == 0 {
		id.config.MinVersion = tls.VersionTLS12
	}
	if o.Clients != nil {
		id.config.ClientAuth = tls.RequestClientCert
		id.config.ClientCAs = o.Clients.shown
	}
	o.resume(id)
	return id
}

// resume sets up the resumption of sessions.
func (o *Options) resume(id *Identity) {
	id.older = id.config
	s := &sessions{tickets: o.Tickets, store: o.Sessions, life: o.SessionLife, now: time.Now}
	if o.Clients != nil {
		s.scope = o.Clients.digest.Sum(nil)
	}
	switch {
	case o.Tickets != nil:
		s.store, s.now, id.config.Time = nil, o.Tickets.now, o.Tickets.now
		o.Tickets.keep(o.SessionLife)
	case o.Sessions != nil:
		id.older = id.config.Clone()
		id.older.SessionTicketsDisabled = true
	default:
		id.config.SessionTicketsDisabled = true
		return
	}
	id.config.WrapSession, id.config.UnwrapSession = s.wrap, s.unwrap
}

// configFor returns the Config for a client's versions.
func (id *Identity) configFor(hello *tls.ClientHelloInfo) *tls.Config {
	newest := id.config.MaxVersion
	if (newest == 0 || newest >= tls.VersionTLS13) && slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		return id.config
	}
	return id.older
}

// Rejecting returns the Identity of a server that refuses every handshake with
// the alert unrecognized_name, for nginx's ssl_reject_handshake.
func Rejecting() *Identity {
	// crypto/tls sends that alert when there is no certificate. Tickets are off
	// because a session would resume without a certificate.
	c := &tls.Config{SessionTicketsDisabled: true}
	return &Identity{config: c, older: c}
}

// cost ranks certificates by the cost of their signatures: RSA takes ten times as long as
// ECDSA.
func cost(c *tls.Certificate) int {
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return 3
	}
	switch signer.Public().(type) {
	case *ecdsa.PublicKey:
		return 0
	case ed25519.PublicKey:
		return 1
	}
	return 2
}

// certificate returns the certificate for a client, with its OCSP response.
func (id *Identity) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := id.choose(hello)
	if s := id.staple[c]; s != nil {
		if r := s.Response(); r != nil {
			stapled := *c
			stapled.OCSPStaple = r
			return &stapled, nil
		}
	}
	return c, err
}

// choose returns the first certificate that the client can verify, or the last one. It does
// not compare names: SNI has chosen the server already, and a server uses its certificates
// for other names, too.
func (id *Identity) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	certs := id.certs
	if id.load != nil {
		loaded, err := id.load(hello)
		if err != nil {
			return nil, err
		}
		certs = byCost(loaded)
	}
	if len(certs) == 1 {
		return certs[0], nil
	}
	nameless := *hello
	nameless.ServerName = ""
	for _, c := range certs {
		if nameless.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return certs[len(certs)-1], nil
}

func byCost(certs []*tls.Certificate) []*tls.Certificate {
	return slices.SortedStableFunc(slices.Values(certs), func(a, b *tls.Certificate) int { return cost(a) - cost(b) })
}

// NewConfig returns the Config for connections to one address. lookup returns the Identity
// for the name in a client's SNI (RFC 6066), or an error, which ends the handshake. The name
// is in lower case; it is "" if the client sends none, or one that is not a host name.
func NewConfig(lookup func(name string) (*Identity, error)) *tls.Config {
	return &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		name := strings.ToLower(hello.ServerName)
		if !IsHostName(name) {
			name = ""
		}
		id, err := lookup(name)
		if err != nil {
			return nil, err
		}
		return id.configFor(hello), nil
	}}
}

// IsHostName reports whether a name from SNI, which may be any text, has only letters,
// digits, "-", "_", bytes beyond ASCII, and single dots that are not at its beginning. Such a
// name can be a part of a file's name.
func IsHostName(name string) bool {
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c >= 0x80:
		case c == '.' && i > 0 && name[i-1] != '.':
		default:
			return false
		}
	}
	return name != ""
}
