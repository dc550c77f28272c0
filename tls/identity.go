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

// Options are how a server speaks TLS. The zero value means TLS 1.2 and
// newer, and that no session resumes.
type Options struct {
	MinVersion uint16 // a tls.VersionTLS number; 0: TLS 1.2
	MaxVersion uint16 // 0: the newest
	// Protocols are what ALPN (RFC 7301) may choose, in the server's order of
	// preference; nil: the handshake chooses none, whatever the client offers.
	Protocols []string
	// Tickets seal sessions that clients keep; nil: Sessions are used, if any.
	Tickets *Tickets
	// Sessions keeps what clients of TLS 1.3 resume where there are no Tickets.
	// Those of TLS 1.2 then do a full handshake.
	Sessions *Sessions
	// SessionLife is how long a session may resume, at most seven days.
	SessionLife time.Duration
	// Ciphers are the suites before TLS 1.3, in no order; nil: Go's default.
	Ciphers []uint16
	// Curves are the groups for key exchange, in no order; nil: Go's default.
	Curves []tls.CurveID
	// Load, unless nil, gives the certificates of each handshake that needs one,
	// in place of those of the Identity. Its error ends the handshake.
	Load func(hello *tls.ClientHelloInfo) ([]*tls.Certificate, error)
	// Staples give the OCSP responses of certificates that have none of their
	// own; nil: there are no others.
	Staples map[*tls.Certificate]Stapler
	// Clients, unless nil, has clients asked for a certificate of the CAs that
	// it shows. A handshake without one, or with one that it would not accept,
	// succeeds: who serves the connection asks Clients.
	Clients *Verifier
}

// Stapler gives one certificate's OCSP response in DER format, nil while there
// is none, without waiting.
type Stapler interface{ Response() []byte }

// Identity is what one server shows in a handshake.
type Identity struct {
	certs  []*tls.Certificate // those that cost the server least first
	load   func(hello *tls.ClientHelloInfo) ([]*tls.Certificate, error)
	staple map[*tls.Certificate]Stapler
	config *tls.Config
	older  *tls.Config // for TLS 1.2 and before
}

// NewIdentity returns the Identity that shows one of certs, of which there is
// at least one unless o.Load gives them: the cheapest that the client can verify.
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

// resume sets up how sessions resume.
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
	// crypto/tls sends that alert where there is no certificate; a session
	// would resume without one.
	c := &tls.Config{SessionTicketsDisabled: true}
	return &Identity{config: c, older: c}
}

// cost ranks signatures: an RSA one takes ten times an ECDSA one's time.
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

// certificate is what a client gets to see.
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

// choose chooses by what the client can verify. The name it asked for is left
// out: SNI has chosen the server already, and a server answers with what it
// has, also under another name.
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

// NewConfig returns the Config for connections to one address. lookup gives
// the Identity for the name that a client asks for by SNI (RFC 6066), in lower
// case and "" when it names none, or one that is no host's; it returns an Identity
// or an error, by which the handshake fails.
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

// IsHostName reports whether a name from SNI consists of letters, digits, "-",
// "_", single dots and bytes beyond ASCII, so that it may be part of a file's
// name. Clients may send anything.
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
