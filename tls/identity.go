package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"slices"
	"strings"
)

// Options are how a server speaks TLS. The zero value means TLS 1.2 and
// newer, with session tickets.
type Options struct {
	MinVersion uint16 // a tls.VersionTLS number; 0: TLS 1.2
	MaxVersion uint16 // 0: the newest
	NoTickets  bool   // sessions do not resume
	// Ciphers are the suites before TLS 1.3, in no order; nil: Go's default.
	Ciphers []uint16
	// Curves are the groups for key exchange, in no order; nil: Go's default.
	Curves []tls.CurveID
	// Clients, unless nil, has clients asked for a certificate of the CAs that
	// it shows. A handshake without one, or with one that it would not accept,
	// succeeds: who serves the connection asks Clients.
	Clients *Verifier
}

// Identity is what one server shows in a handshake.
type Identity struct {
	certs  []*tls.Certificate // those that cost the server least first
	config *tls.Config
}

// NewIdentity returns the Identity that shows one of certs, of which there is
// at least one: the cheapest that the client can verify.
func NewIdentity(certs []*tls.Certificate, o Options) *Identity {
	id := &Identity{certs: slices.Clone(certs)}
	slices.SortStableFunc(id.certs, func(a, b *tls.Certificate) int { return cost(a) - cost(b) })
	id.config = &tls.Config{
		GetCertificate:         id.certificate,
		MinVersion:             o.MinVersion,
		MaxVersion:             o.MaxVersion,
		CipherSuites:           o.Ciphers,
		CurvePreferences:       o.Curves,
		SessionTicketsDisabled: o.NoTickets,
		NextProtos:             protocols(),
	}
	if o.MinVersion == 0 {
		id.config.MinVersion = tls.VersionTLS12
	}
	if o.Clients != nil {
		id.config.ClientAuth = tls.RequestClientCert
		id.config.ClientCAs = o.Clients.shown
	}
	return id
}

// Rejecting returns the Identity of a server that refuses every handshake with
// the alert unrecognized_name, for nginx's ssl_reject_handshake.
func Rejecting() *Identity {
	// crypto/tls sends that alert where there is no certificate; a session
	// would resume without one.
	return &Identity{config: &tls.Config{SessionTicketsDisabled: true}}
}

// protocols are what ALPN (RFC 7301) may choose.
func protocols() []string { return []string{"http/1.1"} }

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

// certificate chooses by what the client can verify. The name it asked for is
// left out: SNI has chosen the server already, and a server answers with what
// it has, also under another name.
func (id *Identity) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(id.certs) == 1 {
		return id.certs[0], nil
	}
	nameless := *hello
	nameless.ServerName = ""
	for _, c := range id.certs {
		if nameless.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return id.certs[len(id.certs)-1], nil
}

// NewConfig returns the Config for connections to one address. lookup gives
// the Identity for the name that a client asks for by SNI (RFC 6066), in lower
// case and "" when it names none; it never returns nil.
func NewConfig(lookup func(name string) *Identity, tickets *Tickets) *tls.Config {
	k := &ticketUser{tickets: tickets}
	c := &tls.Config{NextProtos: protocols()}
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		// Keys set here serve this very handshake: Go reads them afterwards.
		k.refresh(c)
		return lookup(strings.ToLower(hello.ServerName)).config, nil
	}
	k.refresh(c)
	return c
}
