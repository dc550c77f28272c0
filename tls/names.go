package tls

import (
	"crypto/tls"
	"fmt"
	"slices"
)

type version struct {
	name   string
	number uint16
}

// versions are the protocol versions with the names of OpenSSL and nginx's ssl_protocols, the
// oldest first.
var versions = []version{
	{"TLSv1", tls.VersionTLS10},
	{"TLSv1.1", tls.VersionTLS11},
	{"TLSv1.2", tls.VersionTLS12},
	{"TLSv1.3", tls.VersionTLS13},
}

// VersionName returns OpenSSL's name of a protocol version: "TLSv1.3"; "" for
// an unknown one.
func VersionName(number uint16) string {
	for _, v := range versions {
		if v.number == number {
			return v.name
		}
	}
	return ""
}

// VersionRange returns the oldest and the newest of the named versions. It is an error if a
// version between them is missing, since crypto/tls has only a range. SSLv2 and SSLv3 are
// errors, because they are broken.
func VersionRange(names []string) (oldest, newest uint16, err error) {
	var named [4]bool
	for _, name := range names {
		i := slices.IndexFunc(versions, func(v version) bool { return v.name == name })
		switch {
		case name == "SSLv2" || name == "SSLv3":
			return 0, 0, fmt.Errorf("%s is broken and not supported; use TLSv1.2 TLSv1.3", name)
		case i < 0:
			return 0, 0, fmt.Errorf("%q is not a protocol; use TLSv1, TLSv1.1, TLSv1.2, TLSv1.3", name)
		}
		named[i] = true
	}
	low, high := slices.Index(named[:], true), len(named)-1
	for high > low && !named[high] {
		high--
	}
	for i := low; i <= high; i++ {
		if !named[i] {
			return 0, 0, fmt.Errorf("%s is missing between %s and %s; versions cannot be left out in the middle",
				versions[i].name, versions[low].name, versions[high].name)
		}
	}
	return versions[low].number, versions[high].number, nil
}

// CipherName returns OpenSSL's name of a cipher suite, as $ssl_cipher shows it. For suites
// of TLS 1.3 it is IANA's name, which OpenSSL uses, too.
func CipherName(id uint16) string {
	if name, ok := cipherNames[id]; ok {
		return name
	}
	return tls.CipherSuiteName(id)
}

// cipherNames are OpenSSL's names of crypto/tls's suites for TLS 1.2 and before, from the
// manual page openssl-ciphers(1).
var cipherNames = map[uint16]string{
	tls.TLS_RSA_WITH_RC4_128_SHA:                      "RC4-SHA",
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA:                 "DES-CBC3-SHA",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA:                  "AES128-SHA",
	tls.TLS_RSA_WITH_AES_256_CBC_SHA:                  "AES256-SHA",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256:               "AES128-SHA256",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256:               "AES128-GCM-SHA256",
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA:              "ECDHE-ECDSA-RC4-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA:                "ECDHE-RSA-RC4-SHA",
	tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA:           "ECDHE-RSA-DES-CBC3-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256:       "ECDHE-ECDSA-AES128-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256:         "ECDHE-RSA-AES128-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
}
