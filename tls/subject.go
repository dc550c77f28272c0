package tls

import (
	"encoding/asn1"
	"fmt"
	"strings"
	"unicode/utf16"
)

// attribute is one part of a distinguished name.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type attributeSET []attribute

// attributeNames are OpenSSL's short names of the types of attributes in certificates.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
	"2.5.4.15": "businessCategory", "2.5.4.17": "postalCode", "2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials",
	"2.5.4.44": "generationQualifier", "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier",
	"1.2.840.113549.1.9.1": "emailAddress", "1.2.840.113549.1.9.2": "unstructuredName",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
	"1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST", "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

// DistinguishedName returns a certificate's RawSubject or RawIssuer in the form of RFC 2253
// and nginx's $ssl_client_s_dn: "CN=Ann,O=Shop". It returns "" for a malformed name.
func DistinguishedName(raw []byte) string {
	var sets []attributeSET
	if _, err := asn1.Unmarshal(raw, &sets); err != nil {
		return ""
	}
	var b strings.Builder
	for i := len(sets) - 1; i >= 0; i-- {
		for j := len(sets[i]) - 1; j >= 0; j-- {
			switch {
			case b.Len() > 0 && j == len(sets[i])-1:
				b.WriteByte(',')
			case b.Len() > 0:
				b.WriteByte('+')
			}
			sets[i][j].write(&b)
		}
	}
	return b.String()
}

// LegacyName returns a certificate's RawSubject or RawIssuer in the form of OpenSSL's
// X509_NAME_oneline and nginx's $ssl_client_s_dn_legacy: "/O=Shop/CN=Ann". It returns "" for
// a malformed name.
func LegacyName(raw []byte) string {
	var sets []attributeSET
	if _, err := asn1.Unmarshal(raw, &sets); err != nil {
		return ""
	}
	var b strings.Builder
	for _, set := range sets {
		for i, a := range set {
			b.WriteByte("/+"[min(i, 1)])
			b.WriteString(a.name())
			b.WriteByte('=')
			for _, c := range a.Value.Bytes {
				switch {
				case c < ' ' || c > '~':
					fmt.Fprintf(&b, "\\x%02X", c)
				case c == '/' || c == '+':
					b.WriteByte('\\')
					fallthrough
				default:
					b.WriteByte(c)
				}
			}
		}
	}
	return b.String()
}

// name returns OpenSSL's name of the attribute's type, or its numbers.
func (a attribute) name() string {
	if name, known := attributeNames[a.Type.String()]; known {
		return name
	}
	return a.Type.String()
}

func (a attribute) write(b *strings.Builder) {
	name, known := attributeNames[a.Type.String()]
	text, isText := textOf(a.Value)
	if !known || !isText {
		if !known {
			name = a.Type.String()
		}
		fmt.Fprintf(b, "%s=#%X", name, a.Value.FullBytes)
		return
	}
	b.WriteString(name)
	b.WriteByte('=')
	for i := range len(text) {
		c := text[i]
		switch {
		case strings.IndexByte(`,+"\<>;`, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(text)-1):
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(b, "\\%02X", c)
		default:
			b.WriteByte(c)
		}
	}
}

// textOf decodes ASN.1's kinds of strings to UTF-8.
func textOf(v asn1.RawValue) (string, bool) {
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString:
		return string(v.Bytes), true
	case asn1.TagT61String:
		runes := make([]rune, len(v.Bytes))
		for i, c := range v.Bytes {
			runes[i] = rune(c)
		}
		return string(runes), true
	case asn1.TagBMPString:
		units := make([]uint16, len(v.Bytes)/2)
		for i := range units {
			units[i] = uint16(v.Bytes[2*i])<<8 | uint16(v.Bytes[2*i+1])
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}
