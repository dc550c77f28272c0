package tls_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"alicorn/tls"
)

func TestNamesAreWrittenAsOpenSSLDoes(t *testing.T) {
	odd := asn1.ObjectIdentifier{1, 2, 3, 4}
	cn, o := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}
	for _, c := range []struct {
		name pkix.RDNSequence
		want string
		old  string
	}{
		{pkix.RDNSequence{{{Type: o, Value: "Shop"}}, {{Type: cn, Value: "Ann"}}}, "CN=Ann,O=Shop", "/O=Shop/CN=Ann"},
		{pkix.RDNSequence{{{Type: o, Value: `a, "b" <c>; d+e\`}}}, `O=a\, \"b\" \<c\>\; d\+e\\`, `/O=a, "b" <c>; d\+e\`},
		{pkix.RDNSequence{{{Type: cn, Value: " #x "}}}, `CN=\ #x\ `, "/CN= #x "},
		{pkix.RDNSequence{{{Type: cn, Value: "#x"}}}, `CN=\#x`, "/CN=#x"},
		{pkix.RDNSequence{{{Type: cn, Value: "Zoë\n"}}}, `CN=Zo\C3\AB\0A`, `/CN=Zo\xC3\xAB\x0A`},
		{pkix.RDNSequence{{{Type: odd, Value: "x"}}}, "1.2.3.4=#130178", "/1.2.3.4=x"},
		{pkix.RDNSequence{{{Type: o, Value: "Shop"}, {Type: cn, Value: "Ann"}}}, "O=Shop+CN=Ann", "/CN=Ann+O=Shop"},
		{nil, "", ""},
	} {
		raw, err := asn1.Marshal(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := tls.DistinguishedName(raw); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		if got := tls.LegacyName(raw); got != c.old {
			t.Errorf("got %s, want %s", got, c.old)
		}
	}
	if got := tls.DistinguishedName([]byte("garbage")); got != "" {
		t.Errorf(`garbage: got %q; want ""`, got)
	}
}
