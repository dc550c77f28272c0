package acme

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// The directories of Let's Encrypt, the default authority. Browsers do not trust
// the certificates of Staging.
const (
	LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"
	Staging     = "https://acme-staging-v02.api.letsencrypt.org/directory"
)

// The types of challenge, as RFC 8555 and RFC 8737 name them.
const (
	HTTP01    = acme.ChallengeTypeHTTP01
	TLSALPN01 = acme.ChallengeTypeTLSALPN01
	DNS01     = acme.ChallengeTypeDNS01
)

// Issuer is a certificate authority, and the account there. It is a value: equal Issuers of
// several configurations are the same.
type Issuer struct {
	// Name is the name in messages; it may be "".
	Name string
	// Directory is the URL of the authority's directory (RFC 8555 section 7.1.1).
	Directory string
	// Contacts are URLs at which the authority reaches the operator.
	Contacts []string
	// AccountKey is the account's private key in PEM; "": a new key of the type KeyType,
	// which is kept in the state.
	AccountKey string
	KeyType    KeyType
	// Roots are the root certificates, in PEM, for verifying the authority's API; "": the
	// system's. Insecure turns verification off.
	Roots    string
	Insecure bool
	// EABKey and EABSecret bind the account to one that the authority knows (RFC 8555
	// section 7.3.4). The secret is in base64url.
	EABKey, EABSecret string
	// Challenge is the only type of challenge to use; "": any that can be answered.
	Challenge string
	// Profile is the name of one of the authority's profiles; "": its default. With
	// RequireProfile an order fails if the authority has no such profile.
	Profile        string
	RequireProfile bool
	// PreferredChain is the common name of the root of the chain to use; "": the first
	// chain.
	PreferredChain string
	// AcceptTerms agrees to the authority's terms of service.
	AcceptTerms bool
	// State is the folder for the account, and for certificates of names whose first Issuer
	// this is.
	State string
}

// Label returns the issuer's name for messages: Name, or else the host of Directory.
func (i *Issuer) Label() string {
	if i.Name != "" {
		return i.Name
	}
	if u, err := url.Parse(i.Directory); err == nil && u.Host != "" {
		return u.Host
	}
	return i.Directory
}

// key returns the issuer's part of paths in a Storage: host and path of Directory.
func (i *Issuer) key() string {
	u, err := url.Parse(i.Directory)
	if err != nil {
		return certmagic.StorageKeys.Safe(i.Directory)
	}
	return certmagic.StorageKeys.Safe(strings.Trim(u.Host+"-"+strings.ReplaceAll(strings.Trim(path.Clean("/"+u.Path), "/"), "/", "-"), "-"))
}

// Check returns an error, in one sentence, if i is not valid.
func (i *Issuer) Check() error {
	u, err := url.Parse(i.Directory)
	if err != nil || u.Host == "" || u.Scheme != "https" {
		return fmt.Errorf("%q is not the https:// URL of an ACME directory", i.Directory)
	}
	if i.Roots != "" {
		if !x509.NewCertPool().AppendCertsFromPEM([]byte(i.Roots)) {
			return fmt.Errorf("the trusted certificates are not in PEM format")
		}
	}
	if i.AccountKey != "" {
		if _, err := certmagic.PEMDecodePrivateKey([]byte(i.AccountKey)); err != nil {
			return fmt.Errorf("cannot use the account key: %w", err)
		}
	}
	return nil
}

// KeyType is a type of private key, with the name that nginx's key= has for it.
type KeyType string

// keyTypes are the values of KeyType. "" is the default.
var keyTypes = map[KeyType]certmagic.KeyType{
	"":          certmagic.P256,
	"ecdsa":     certmagic.P256,
	"ecdsa:256": certmagic.P256,
	"ecdsa:384": certmagic.P384,
	"ecdsa:521": p521,
	"rsa":       certmagic.RSA2048,
	"rsa:2048":  certmagic.RSA2048,
	"rsa:3072":  rsa3072,
	"rsa:4096":  certmagic.RSA4096,
}

// ParseKeyType reads ALG[:SIZE].
func ParseKeyType(text string) (KeyType, error) {
	if _, ok := keyTypes[KeyType(text)]; !ok || text == "" {
		return "", fmt.Errorf("%q is not a type of key; use ecdsa:256, ecdsa:384, ecdsa:521, rsa:2048, rsa:3072 or rsa:4096", text)
	}
	return KeyType(text), nil
}

// Want is a name that needs a certificate.
type Want struct {
	// Name is in lower case. It may be a wildcard such as "*.example.com".
	Name string
	// Issuers are asked one after the other, until one gives a certificate.
	Issuers []*Issuer
	Key     KeyType
	// HTTP and ALPN say which challenges the listeners can answer.
	HTTP, ALPN bool
	// DNSHook is the command that answers DNS-01; nil: there is none. Its last arguments
	// are "present" or "cleanup", the record's name and its value. It must end once the
	// zone's servers answer with the record.
	DNSHook []string
	// Resolver is the DNS server, HOST:PORT, for the name and for the addresses of
	// authorities; "": the system's.
	Resolver string
	// Internal says that the local authority in Folder signs the certificate, instead of
	// Issuers.
	Internal bool
	Folder   string
}

// same reports whether o equals w.
func (w *Want) same(o *Want) bool {
	a, errA := json.Marshal(w)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && string(a) == string(b)
}

// State returns the folder where the certificate is kept.
func (w *Want) State() string {
	if w.Internal {
		return w.Folder
	}
	return w.Issuers[0].State
}

// challenges returns the types of challenge that i may use for w.
func (w *Want) challenges(i *Issuer) []string {
	var can []string
	if w.DNSHook != nil {
		can = append(can, DNS01)
	}
	if !strings.HasPrefix(w.Name, "*.") {
		if w.HTTP {
			can = append(can, HTTP01)
		}
		if w.ALPN {
			can = append(can, TLSALPN01)
		}
	}
	if i.Challenge == "" {
		return can
	}
	for _, c := range can {
		if c == i.Challenge {
			return []string{c}
		}
	}
	return nil
}

// Holds reports whether a folder of state may have an entry of that name.
func Holds(name string) bool {
	return slices.Contains([]string{"accounts", "certificates", "challenges", "local", "locks", "ocsp", "last_clean.json"}, name) ||
		strings.HasPrefix(name, "rw_test_") || strings.HasPrefix(name, "acme") // the folder of another acme_issuer
}
