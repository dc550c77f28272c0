package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"

	"github.com/caddyserver/certmagic"
)

// Types of key that certmagic's generator does not make.
const (
	p521    certmagic.KeyType = "p521"
	rsa3072 certmagic.KeyType = "rsa3072"
)

// generator makes private keys of one type.
type generator struct{ of certmagic.KeyType }

// GenerateKey implements certmagic.KeyGenerator.
func (g generator) GenerateKey() (crypto.PrivateKey, error) {
	switch g.of {
	case p521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case rsa3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	}
	return certmagic.StandardKeyGenerator{KeyType: g.of}.GenerateKey()
}
