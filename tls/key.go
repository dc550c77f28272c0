package tls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// maxIterations bounds the work that a key file may ask for: it is at least a hundred times
// OpenSSL's number of iterations.
const maxIterations = 10_000_000

var errPassword = errors.New("wrong password")

// keyError is a mistake in a key, not in its certificate.
type keyError string

func (e keyError) Error() string { return string(e) }

// isEncrypted reports whether b is an encrypted key, in PKCS #8 (RFC 5958) or in OpenSSL's
// older format.
func isEncrypted(b *pem.Block) bool {
	return b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != ""
}

// openKey pairs chain with the encrypted key in content. It uses the first password that
// fits.
func openKey(chain, content []byte, passwords []string) (tls.Certificate, error) {
	block := encryptedBlock(content)
	if len(passwords) == 0 {
		return tls.Certificate{}, keyError("it is encrypted with a password, and there is no ssl_password_file")
	}
	for _, password := range passwords {
		plain, err := decryptBlock(block, password)
		if errors.Is(err, errPassword) {
			continue
		}
		if err != nil {
			return tls.Certificate{}, keyError(err.Error())
		}
		pair, err := tls.X509KeyPair(chain, pem.EncodeToMemory(plain))
		// Decrypting with a wrong password may seem to succeed, with garbage.
		if err == nil || !strings.Contains(err.Error(), "failed to parse private key") {
			return pair, err
		}
	}
	return tls.Certificate{}, keyError("no password of ssl_password_file opens it")
}

func encryptedBlock(content []byte) *pem.Block {
	for rest := bytes.Clone(content); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil || isEncrypted(b) {
			return b
		}
	}
}

func decryptBlock(b *pem.Block, password string) (*pem.Block, error) {
	if b.Type == "ENCRYPTED PRIVATE KEY" {
		der, err := decryptPKCS8(b.Bytes, password)
		return &pem.Block{Type: "PRIVATE KEY", Bytes: der}, err
	}
	// The format is weak, but some keys still have it.
	der, err := x509.DecryptPEMBlock(b, []byte(password))
	if err != nil {
		return nil, errPassword
	}
	return &pem.Block{Type: b.Type, Bytes: der}, nil
}

// encryptedKey is PKCS #8's EncryptedPrivateKeyInfo (RFC 5958 section 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 and pbkdf2Params are types of PKCS #5 (RFC 8018 appendix A).
type pbes2 struct {
	Derivation pkix.AlgorithmIdentifier
	Encryption pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	Function   pkix.AlgorithmIdentifier `asn1:"optional"`
}

// Object identifiers of PKCS #5, RFC 8018 appendix C.
const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
)

// digests are the functions of PBKDF2. OpenSSL now uses SHA-256.
var digests = map[string]func() hash.Hash{
	"":                    sha1.New, // the default
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
}

type blockCipher struct {
	keySize int
	make    func(key []byte) (cipher.Block, error)
}

// blockCiphers are the ciphers of PBES2, all in CBC mode.
var blockCiphers = map[string]blockCipher{
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
}

// decryptPKCS8 decrypts an EncryptedPrivateKeyInfo. It returns errPassword if the password
// is wrong.
func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var k encryptedKey
	if _, err := asn1.Unmarshal(der, &k); err != nil {
		return nil, errors.New("its encryption cannot be read")
	}
	if id := k.Algorithm.Algorithm.String(); id != oidPBES2 {
		return nil, fmt.Errorf("its encryption (%s) is not known; \"openssl pkcs8 -topk8 -v2 aes-256-cbc\" writes one that is", id)
	}
	var scheme pbes2
	if _, err := asn1.Unmarshal(k.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, errors.New("its encryption cannot be read")
	}
	block, err := scheme.block(password)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if _, err := asn1.Unmarshal(scheme.Encryption.Parameters.FullBytes, &iv); err != nil || len(iv) != block.BlockSize() {
		return nil, errors.New("its encryption cannot be read")
	}
	if len(k.Data) == 0 || len(k.Data)%block.BlockSize() != 0 {
		return nil, errors.New("it is cut short")
	}
	plain := make([]byte, len(k.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, k.Data)
	return unpad(plain, block.BlockSize())
}

// block derives the key from the password, and returns the cipher.
func (p *pbes2) block(password string) (cipher.Block, error) {
	id := p.Derivation.Algorithm.String()
	scheme, known := blockCiphers[p.Encryption.Algorithm.String()]
	if id != oidPBKDF2 || !known {
		return nil, fmt.Errorf("its encryption (%s with %s) is not known", id, p.Encryption.Algorithm)
	}
	var d pbkdf2Params
	if _, err := asn1.Unmarshal(p.Derivation.Parameters.FullBytes, &d); err != nil || d.Iterations < 1 || d.Iterations > maxIterations {
		return nil, errors.New("its encryption cannot be read")
	}
	digest, known := digests[d.Function.Algorithm.String()]
	if !known {
		return nil, fmt.Errorf("its encryption (%s) is not known", d.Function.Algorithm)
	}
	key, err := pbkdf2.Key(digest, password, d.Salt, d.Iterations, scheme.keySize)
	if err != nil {
		return nil, err
	}
	return scheme.make(key)
}

// unpad removes the padding of RFC 8018 section 6.1.1.
func unpad(b []byte, blockSize int) ([]byte, error) {
	n := int(b[len(b)-1])
	if n == 0 || n > blockSize {
		return nil, errPassword
	}
	for _, c := range b[len(b)-n:] {
		if int(c) != n {
			return nil, errPassword
		}
	}
	return b[:len(b)-n], nil
}
