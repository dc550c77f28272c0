package tls

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Files reads files for LoadPair. It is a config.Host, or a config.Source for files that the
// serving process reads itself.
type Files interface {
	// ReadFile returns a file's content.
	ReadFile(path string) ([]byte, error)
}

// inline is nginx's prefix of a value that is PEM text instead of a path.
const inline = "data:"

// LoadPair reads a chain of certificates (PEM, the server's own first) and its private key
// through h. Each is a path, or "data:" and the content. The first password that fits
// decrypts an encrypted key. The result has its Leaf. Errors are one sentence that names the
// file at fault, without its content.
func LoadPair(h Files, certFile, keyFile string, passwords ...string) (*tls.Certificate, error) {
	chain, err := read(h, certFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read certificate %q: %w", label(certFile), reason(err))
	}
	key, err := read(h, keyFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read certificate key %q: %w", label(keyFile), reason(err))
	}
	if err := checkChain(chain, label(certFile)); err != nil {
		return nil, err
	}
	if err := checkKey(key, label(keyFile)); err != nil {
		return nil, err
	}
	pair, err := pairOf(chain, key, passwords)
	switch {
	case err == nil:
		return &pair, nil
	case strings.Contains(err.Error(), "does not match"):
		return nil, fmt.Errorf("certificate key %q does not belong to the first certificate in %q", label(keyFile), label(certFile))
	case strings.Contains(err.Error(), "private key"), errors.As(err, new(keyError)):
		return nil, fmt.Errorf("cannot use certificate key %q: %s", label(keyFile), bare(err))
	}
	return nil, fmt.Errorf("cannot use certificate %q: %s", label(certFile), bare(err))
}

func pairOf(chain, key []byte, passwords []string) (tls.Certificate, error) {
	if hasBlock(key, isEncrypted) {
		return openKey(chain, key, passwords)
	}
	return tls.X509KeyPair(chain, key)
}

func read(h Files, name string) ([]byte, error) {
	if content, ok := strings.CutPrefix(name, inline); ok {
		return []byte(content), nil
	}
	return h.ReadFile(name)
}

// label returns a file's name for messages; "data:" for an inline value.
func label(name string) string {
	if strings.HasPrefix(name, inline) {
		return inline
	}
	return name
}

// checkChain and checkKey return plainer errors than crypto/tls.
func checkChain(content []byte, file string) error {
	if !hasBlock(content, func(b *pem.Block) bool { return b.Type == "CERTIFICATE" }) {
		return fmt.Errorf("cannot use certificate %q: it holds no certificate in PEM format", file)
	}
	return nil
}

func checkKey(content []byte, file string) error {
	if !hasBlock(content, func(b *pem.Block) bool { return b.Type == "PRIVATE KEY" || strings.HasSuffix(b.Type, " PRIVATE KEY") }) {
		return fmt.Errorf("cannot use certificate key %q: it holds no private key in PEM format", file)
	}
	return nil
}

func hasBlock(content []byte, which func(b *pem.Block) bool) bool {
	for rest := bytes.Clone(content); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return false
		}
		if which(b) {
			return true
		}
	}
}

// bare returns err's text without the prefixes of Go's packages.
func bare(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "tls: "), "x509: ")
}

// reason returns err without the operation and the path, for a message that already has them.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Doubt returns in a few words why clients that ask for name at time now will refuse cert: it
// is expired, not valid yet, or for other names. It returns "" for a good certificate. With
// an empty name it checks only the time.
func Doubt(cert *tls.Certificate, name string, now time.Time) string {
	leaf := cert.Leaf
	switch {
	case now.After(leaf.NotAfter):
		return "expired on " + leaf.NotAfter.UTC().Format(time.DateOnly)
	case now.Before(leaf.NotBefore):
		return "is not valid before " + leaf.NotBefore.UTC().Format(time.DateTime) + " UTC"
	case name != "" && leaf.VerifyHostname(name) != nil:
		return fmt.Sprintf("is not for %q but for %s", name, namesOf(cert))
	}
	return ""
}

func namesOf(cert *tls.Certificate) string {
	names := append([]string(nil), cert.Leaf.DNSNames...)
	for _, ip := range cert.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	return strings.Join(names, ", ")
}
