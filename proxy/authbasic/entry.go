package authbasic

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/GehirnInc/crypt"
	"github.com/GehirnInc/crypt/apr1_crypt"
	"github.com/GehirnInc/crypt/md5_crypt"
	"github.com/GehirnInc/crypt/sha256_crypt"
	"github.com/GehirnInc/crypt/sha512_crypt"
	"golang.org/x/crypto/bcrypt"
)

// entry is a user's password in a file.
type entry struct {
	hash   string
	scheme *scheme       // nil: the kind of hash is not known
	cost   time.Duration // roughly how long a check takes; 0: a very short time
	proof  atomic.Pointer[proof]
}

// proof is a keyed hash of the password that has passed.
type proof struct{ key, sum [sha256.Size]byte }

func newEntry(hash string) *entry {
	e := &entry{hash: hash}
	for i := range schemes {
		if s := &schemes[i]; strings.HasPrefix(hash, s.prefix) {
			e.scheme = s
			if s.cost != nil {
				e.cost = s.cost(hash)
			}
			break
		}
	}
	return e
}

// proved reports whether this password has passed before.
func (e *entry) proved(password string) bool {
	p := e.proof.Load()
	if p == nil {
		return false
	}
	sum := p.of(password)
	return subtle.ConstantTimeCompare(sum[:], p.sum[:]) == 1
}

// check reports whether the password is the user's. It may take long. A password with a NUL
// byte, at which the system's crypt would cut it, does not pass.
func (e *entry) check(password string) bool {
	if !e.scheme.matches(e.hash, password) || strings.IndexByte(password, 0) >= 0 {
		return false
	}
	if e.cost > 0 {
		p := &proof{}
		rand.Read(p.key[:])
		p.sum = p.of(password)
		e.proof.Store(p)
	}
	return true
}

func (p *proof) of(password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, p.key[:])
	mac.Write([]byte(password))
	mac.Sum(sum[:0])
	return sum
}

// scheme is a way of hashing passwords.
type scheme struct {
	prefix  string
	matches func(hash, password string) bool
	cost    func(hash string) time.Duration // nil: a very short time
}

// schemes are the ways of hashing that can be checked.
var schemes = []scheme{
	{"{PLAIN}", func(hash, password string) bool { return equal(hash, "{PLAIN}"+password) }, nil},
	{"{SHA}", matchesSHA, nil},
	{"{SSHA}", matchesSSHA, nil},
	{"$apr1$", crypted(apr1_crypt.New), costOfMD5},
	{"$1$", crypted(md5_crypt.New), costOfMD5},
	{"$5$", crypted(sha256_crypt.New), costOfSHA},
	{"$6$", crypted(sha512_crypt.New), costOfSHA},
	{"$2a$", matchesBcrypt, costOfBcrypt},
	{"$2b$", matchesBcrypt, costOfBcrypt},
	{"$2y$", matchesBcrypt, costOfBcrypt},
}

// equal compares in a time that does not depend on where a and b differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func matchesSHA(hash, password string) bool {
	sum := sha1.Sum([]byte(password))
	return equal(hash, "{SHA}"+base64.StdEncoding.EncodeToString(sum[:]))
}

// matchesSSHA uses the bytes after the SHA-1 sum as the salt.
func matchesSSHA(hash, password string) bool {
	decoded, err := base64.StdEncoding.DecodeString(hash[len("{SSHA}"):])
	if err != nil || len(decoded) < sha1.Size {
		return false
	}
	salt := decoded[sha1.Size:]
	sum := sha1.Sum(append([]byte(password), salt...))
	return subtle.ConstantTimeCompare(sum[:], decoded[:sha1.Size]) == 1
}

// longestCrypted is the length in bytes from which on passwords are refused, as by the
// system's crypt: the time of a check grows with the length.
const longestCrypted = 512

// crypted returns the check of hashes of the form $ID$SALT$SUM, in which SALT may have "$".
func crypted(make func() crypt.Crypter) func(hash, password string) bool {
	return func(hash, password string) bool {
		end := strings.LastIndexByte(hash, '$')
		if len(password) >= longestCrypted || end < 3 {
			return false
		}
		made, err := make().Generate([]byte(password), []byte(hash[:end]))
		return err == nil && equal(hash, made)
	}
}

func matchesBcrypt(hash, password string) bool {
	return len(password) < longestCrypted && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

func costOfMD5(string) time.Duration { return 250 * time.Microsecond }

// costOfSHA depends on the number of rounds in the hash, by default 5000.
func costOfSHA(hash string) time.Duration {
	rounds := 5000
	if _, text, ok := strings.Cut(hash, "$rounds="); ok {
		text, _, _ = strings.Cut(text, "$")
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			rounds = min(n, 999_999_999)
		}
	}
	return time.Duration(rounds) * 500 * time.Nanosecond
}

func costOfBcrypt(hash string) time.Duration {
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil {
		return time.Nanosecond
	}
	return 80 * time.Microsecond << cost
}
