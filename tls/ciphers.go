package tls

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// suite is a cipher suite of TLS 1.2 and before. OpenSSL's lists select it by its name or
// by words.
type suite struct {
	id    uint16
	words []string
}

// suites returns the suites of crypto/tls, without those with RC4, which OpenSSL has dropped,
// too.
func suites() []suite {
	var all []suite
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		name, ok := cipherNames[s.ID]
		if !ok || strings.Contains(name, "RC4") {
			continue
		}
		all = append(all, suite{s.ID, wordsOf(name)})
	}
	return all
}

// wordsOf returns the words that select a suite, from the parts of its name: key exchange,
// authentication, encryption and digest (openssl-ciphers(1)).
func wordsOf(name string) []string {
	words := []string{"ALL", "DEFAULT", "HIGH"}
	has := func(part string) bool { return strings.Contains(name, part) }
	if has("ECDHE-") {
		words = append(words, "ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDH")
	} else {
		words = append(words, "kRSA", "RSA")
	}
	if has("ECDSA") {
		words = append(words, "ECDSA", "aECDSA")
	} else {
		words = append(words, "RSA", "aRSA")
	}
	if has("AES128") {
		words = append(words, "AES", "AES128")
	}
	if has("AES256") {
		words = append(words, "AES", "AES256")
	}
	switch {
	case has("GCM"):
		words = append(words, "AESGCM", "TLSv1.2")
	case has("CHACHA20"):
		words = append(words, "CHACHA20", "TLSv1.2")
	case strings.HasSuffix(name, "-SHA256"):
		words = append(words, "SHA256", "TLSv1.2", "CBC")
	default:
		words = append(words, "SHA", "SHA1", "TLSv1", "TLSv1.0", "CBC")
	}
	if has("GCM-SHA384") {
		words = append(words, "SHA384")
	}
	if has("GCM-SHA256") {
		words = append(words, "SHA256")
	}
	if has("DES-CBC3") {
		// OpenSSL does not count it as strong, since its blocks are small.
		words = append(slices.DeleteFunc(words, func(w string) bool { return w == "HIGH" }), "3DES", "MEDIUM")
	}
	return words
}

// CipherList reads a list in the form of OpenSSL's ciphers(1), such as "HIGH:!aNULL:!MD5".
// It returns the suites of crypto/tls that the list selects, for Options.Ciphers. Words that
// select many suites select only those of tls.CipherSuites, which Go considers safe; the
// list must name any other suite in full. dropped has the names that Go does not have. A
// list that selects no suite is an error.
func CipherList(list string) (ids []uint16, dropped []string, err error) {
	l := cipherList{all: suites(), barred: map[uint16]bool{}}
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(":, ", r) }) {
		l.apply(item)
	}
	if len(l.chosen) == 0 {
		return nil, l.dropped, fmt.Errorf("no cipher of %q is left that can be used here", list)
	}
	return l.chosen, l.dropped, nil
}

type cipherList struct {
	all     []suite
	chosen  []uint16
	barred  map[uint16]bool // "!" has removed them: no later item adds them
	dropped []string
}

func (l *cipherList) apply(item string) {
	switch {
	case strings.HasPrefix(item, "@"), strings.HasPrefix(item, "+"):
		// An order, or a security level of OpenSSL: Go has its own.
	case strings.HasPrefix(item, "!"):
		for _, id := range l.matches(item[1:], true) {
			l.barred[id] = true
			l.remove(id)
		}
	case strings.HasPrefix(item, "-"):
		for _, id := range l.matches(item[1:], true) {
			l.remove(id)
		}
	case isTLS13(item):
		// Go uses all suites of TLS 1.3. The list does not apply to them.
	default:
		l.add(item)
	}
}

func (l *cipherList) add(item string) {
	found := l.matches(item, false)
	if len(found) == 0 {
		l.dropped = append(l.dropped, item)
	}
	for _, id := range found {
		if !l.barred[id] && !slices.Contains(l.chosen, id) {
			l.chosen = append(l.chosen, id)
		}
	}
}

func (l *cipherList) remove(id uint16) {
	l.chosen = slices.DeleteFunc(l.chosen, func(c uint16) bool { return c == id })
}

// matches returns the suite that item names, or those that have all of its words, which "+"
// joins. With unsafe, for items that remove suites, it includes suites that are not safe.
func (l *cipherList) matches(item string, unsafe bool) (ids []uint16) {
	words := strings.Split(item, "+")
	for _, s := range l.all {
		if cipherNames[s.id] == item || tls.CipherSuiteName(s.id) == item {
			return []uint16{s.id}
		}
		if !unsafe && isInsecure(s.id) {
			continue
		}
		if !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(s.words, w) }) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

func isTLS13(name string) bool {
	return slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool {
		return s.Name == name && s.SupportedVersions[0] == tls.VersionTLS13
	})
}

func isInsecure(id uint16) bool {
	return slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == id })
}
