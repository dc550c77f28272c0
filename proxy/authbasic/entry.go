package authbasic

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
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
	scheme *scheme       // nil: no password opens the entry, because of refusal
	cost   time.Duration // roughly how long a check takes; 0: a very short time
	proof  atomic.Pointer[proof]
	// refusal says why the hash cannot be checked; "" if it can.
	refusal string
}

// mostWork is the longest that the check of one hash may take, by the estimate of its cost.
// The number of rounds is part of the hash: crypt takes up to 999,999,999, which are minutes,
// and bcrypt up to 2^31, which are days. Not only the user's requests would cost that, but
// each with the name of a user that the file has not.
const mostWork = 6 * time.Second

// proof is a keyed hash of the password that has passed.
type proof struct{ key, sum [sha256.Size]byte }

func newEntry(hash string) *entry {
	e := &entry{hash: hash, refusal: "is hashed in a way that is not known here"}
	i := slices.IndexFunc(schemes, func(s scheme) bool { return strings.HasPrefix(hash, s.prefix) })
	if i < 0 {
		return e
	}
	s := &schemes[i]
	if s.cost != nil {
		e.cost = s.cost(hash)
	}
	if e.cost > mostWork {
		e.cost, e.refusal = 0, fmt.Sprintf("needs too much work, %s: at most %d rounds of $5$ and $6$, and a cost of %d of bcrypt, are allowed", s.work(hash), mostWork/costOfRound, mostBcrypt)
		return e
	}
	e.scheme, e.refusal = s, ""
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

// work returns the part of a hash that says how much work its check is.
func (s *scheme) work(hash string) string {
	text, _, _ := strings.Cut(hash[len(s.prefix):], "$")
	if s.prefix[1] == '2' {
		return "a cost of " + text
	}
	return text
}

func costOfMD5(string) time.Duration { return 250 * time.Microsecond }

// costOfRound is the time of a round of $5$ and $6$.
const costOfRound = 500 * time.Nanosecond

// costOfSHA depends on the number of rounds in the hash, by default 5000.
func costOfSHA(hash string) time.Duration {
	rounds := uint64(5000)
	if text, ok := strings.CutPrefix(hash[len("$5$"):], "rounds="); ok {
		text, _, _ = strings.Cut(text, "$")
		n, err := strconv.ParseUint(text, 10, 64)
		if err == nil || errors.Is(err, strconv.ErrRange) {
			rounds = min(n, 999_999_999)
		}
	}
	return time.Duration(rounds) * costOfRound
}

// The time of bcrypt with a cost of 0, and the largest cost whose time is within mostWork.
const (
	costOfBcrypt0 = 80 * time.Microsecond
	mostBcrypt    = 16
)

func costOfBcrypt(hash string) time.Duration {
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil {
		return time.Nanosecond
	}
	return costOfBcrypt0 << cost
}
