package tls

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Outbound is how connections to other servers are encrypted, and which certificates of
// theirs are accepted. It does not change once Config was called.
type Outbound struct {
	MinVersion, MaxVersion uint16 // tls.VersionTLS numbers; 0: TLS 1.2, the newest
	// Ciphers are the suites before TLS 1.3, in no order; nil: Go's default.
	Ciphers []uint16
	// Certificate is what a server gets that asks for one; nil: it gets none.
	Certificate *tls.Certificate
	// Servers verifies the servers' certificates; nil: any is accepted.
	Servers *Verifier
	// Resumes lets a connection resume the session of an earlier one.
	Resumes bool

	sessions tls.ClientSessionCache // nil until there is one
}

// outboundSessions bounds the sessions of an Outbound.
const outboundSessions = 256

// Digest is the same for two Outbounds if they encrypt and verify in the same way.
func (o *Outbound) Digest() string {
	d := sha256.New()
	fmt.Fprintf(d, "%d %d %v %t\n", o.MinVersion, o.MaxVersion, o.Ciphers, o.Resumes)
	if o.Certificate != nil {
		for _, der := range o.Certificate.Certificate {
			fmt.Fprintf(d, "%d %x\n", len(der), der)
		}
	}
	if v := o.Servers; v != nil {
		fmt.Fprintf(d, "%d %x\n", v.depth, v.digest.Sum(nil))
		for _, l := range v.crls {
			fmt.Fprintf(d, "%x\n", l.Raw)
		}
	}
	return hex.EncodeToString(d.Sum(nil))
}

// Prepare makes o ready for Config.
func (o *Outbound) Prepare() {
	if o.Resumes {
		o.sessions = tls.NewLRUClientSessionCache(outboundSessions)
	}
}

// Config returns the configuration for a connection to the server at the address peer,
// whose certificate must be one for name if it is verified. With indicate the handshake
// tells the server the name (SNI).
func (o *Outbound) Config(peer, name string, indicate bool) *tls.Config {
	c := &tls.Config{
		MinVersion: o.MinVersion, MaxVersion: o.MaxVersion, CipherSuites: o.Ciphers,
		InsecureSkipVerify: true, // VerifyConnection does it as OpenSSL would
	}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	if indicate {
		c.ServerName = name
	}
	if o.Certificate != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate, nil }
	}
	if o.Servers != nil {
		c.VerifyConnection = func(cs tls.ConnectionState) error { return o.Servers.admit(&cs, name) }
	}
	if o.sessions != nil {
		c.ClientSessionCache = sessionsOf{o.sessions, peer + " " + name + " "}
	}
	return c
}

// sessionsOf are the sessions with one peer.
type sessionsOf struct {
	all  tls.ClientSessionCache
	peer string
}

// Get implements tls.ClientSessionCache.
func (s sessionsOf) Get(key string) (*tls.ClientSessionState, bool) { return s.all.Get(s.peer + key) }

// Put implements tls.ClientSessionCache.
func (s sessionsOf) Put(key string, cs *tls.ClientSessionState) { s.all.Put(s.peer+key, cs) }

// Unaccepted is why a server's certificate is not accepted, in nginx's words.
type Unaccepted string

// Error returns the reason.
func (u Unaccepted) Error() string { return string(u) }

// admit returns an Unaccepted if the server's certificate is not accepted. It is called
// for a session that resumes as well.
func (v *Verifier) admit(cs *tls.ConnectionState, name string) error {
	if r := v.VerifyServer(cs.PeerCertificates, time.Now()); r != nil {
		return Unaccepted(fmt.Sprintf("upstream SSL certificate verify error: (%d:%s)", r.Code, r.Reason))
	}
	if !IsFor(cs.PeerCertificates[0], name) {
		return Unaccepted(fmt.Sprintf("upstream SSL certificate does not match %q", name))
	}
	return nil
}

// ReadPasswords returns the lines of a password file, and none if its name is empty.
func ReadPasswords(h Files, file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	content, err := h.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read passwords: %w", err)
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n"), nil
}
