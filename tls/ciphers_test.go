package tls_test

import (
	stdtls "crypto/tls"
	"slices"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
	"alicorn/tls"
)

func TestCipherListsAreReadAsOpenSSLDoes(t *testing.T) {
	const gcm = "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384"
	const chacha = " ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305"
	const cbc = " ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES256-SHA ECDHE-RSA-AES128-SHA ECDHE-RSA-AES256-SHA"
	for _, c := range []struct{ list, want, dropped string }{
		{"HIGH:!aNULL:!MD5", gcm + chacha + cbc, ""},
		{"ECDHE+AESGCM", gcm, ""},
		{"EECDH+AESGCM:EDH+AESGCM:!SHA1", gcm, "EDH+AESGCM"},
		{"ALL:!SHA1:-AES128+AESGCM", "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384" + chacha, ""},
		{"ECDHE+CHACHA20, kECDHE+aRSA+AES256+AESGCM @STRENGTH", "ECDHE-RSA-AES256-GCM-SHA384" + chacha, ""},
		{"!AES:HIGH", strings.TrimSpace(chacha), ""},
		{"HIGH:-AES:AESGCM", gcm + chacha, ""},
		{"ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"},
		{"AES128-SHA:DES-CBC3-SHA:RC4-SHA", "AES128-SHA DES-CBC3-SHA", "RC4-SHA"},
		{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", ""},
		{"DHE:!ECDHE", "", "DHE"},
		{"TLS_AES_128_GCM_SHA256", "", ""},
		{"HIGH:!ALL", "", ""},
	} {
		ids, dropped, err := tls.CipherList(c.list)
		var got []string
		for _, id := range ids {
			got = append(got, tls.CipherName(id))
		}
		want := strings.Fields(c.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || strings.Join(dropped, " ") != c.dropped || (err != nil) != (len(want) == 0) {
			t.Errorf("%s:\n got %v, dropped %v, %v\nwant %v", c.list, got, dropped, err, want)
		}
	}
}

func TestCurvesHaveOpenSSLsNames(t *testing.T) {
	for _, c := range []struct {
		list    string
		want    []stdtls.CurveID
		dropped string
		fails   bool
	}{
		{"auto", nil, "", false},
		{"X25519:prime256v1:X448", []stdtls.CurveID{stdtls.X25519, stdtls.CurveP256}, "X448", false},
		{"P-384:secp521r1", []stdtls.CurveID{stdtls.CurveP384, stdtls.CurveP521}, "", false},
		{"brainpoolP256r1", nil, "brainpoolP256r1", true},
	} {
		ids, dropped, err := tls.CurveList(c.list)
		if !slices.Equal(ids, c.want) || strings.Join(dropped, " ") != c.dropped || (err != nil) != c.fails {
			t.Errorf("%s: got %v, %v, %v; want %v, %v and an error: %v", c.list, ids, dropped, err, c.want, c.dropped, c.fails)
		}
	}
}

func TestOnlyTheCiphersAndCurvesAskedForAreSpoken(t *testing.T) {
	dir := t.TempDir()
	proxytest.WriteCertificate(t, dir, "a", proxytest.Certificate{})
	id := tls.NewIdentity([]*stdtls.Certificate{load(t, dir, "a")}, tls.Options{
		Ciphers: []uint16{stdtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}, Curves: []stdtls.CurveID{stdtls.CurveP384},
	})
	server := tls.NewConfig(func(string) (*tls.Identity, error) { return id, nil })
	state, err := shake(t, server, &stdtls.Config{MaxVersion: stdtls.VersionTLS12})
	if err != nil || tls.CipherName(state.CipherSuite) != "ECDHE-ECDSA-AES256-GCM-SHA384" || tls.CurveName(state.CurveID) != "secp384r1" {
		t.Errorf(`got %s with %s, %v; want "ECDHE-ECDSA-AES256-GCM-SHA384" and "secp384r1"`, tls.CipherName(state.CipherSuite), tls.CurveName(state.CurveID), err)
	}
	for _, client := range []*stdtls.Config{
		{MaxVersion: stdtls.VersionTLS12, CipherSuites: []uint16{stdtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
		{CurvePreferences: []stdtls.CurveID{stdtls.X25519}},
	} {
		if _, err := shake(t, server, client); err == nil {
			t.Errorf("a client with %v %v was served", client.CipherSuites, client.CurvePreferences)
		}
	}
}
