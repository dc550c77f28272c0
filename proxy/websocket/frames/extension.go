package frames

import (
	"errors"
	"strconv"
	"strings"

	"alicorn/proxy"
)

// Deflate has the parameters of permessage-deflate on which client and server have agreed
// (RFC 7692 section 7.1). The zero Deflate is no compression.
type Deflate struct {
	On              bool
	ServerTakesOver bool // our messages may refer to earlier ones
	ClientTakesOver bool // messages of the client may refer to earlier ones
	ServerBits      int  // log2 of the window of our messages, 8 to 15
	ClientBits      int  // log2 of the window of the client's messages, 8 to 15
	namesServerBits bool // the answer names ServerBits, as the client has asked for them
	namesClientBits bool // the answer names ClientBits, as the client allows that
}

// Bounds of max_window_bits.
const (
	minBits = 8
	maxBits = 15
	// keptBits bounds the client's window if the client lets us choose, as an idle
	// connection holds that window.
	keptBits = 12
)

const deflateName = "permessage-deflate"

var errExtensions = errors.New("must be a list of names with parameters, such as permessage-deflate; client_max_window_bits")

// Negotiate chooses the first acceptable offer of permessage-deflate in the
// Sec-WebSocket-Extensions fields of a request (RFC 6455 section 9.1, RFC 7692 section 5). It
// declines other extensions, and offers with parameters that RFC 7692 does not have. err says
// what a field must be, if one is malformed.
func Negotiate(fields []string) (chosen Deflate, err error) {
	for _, field := range fields {
		for rest, more := field, true; more; {
			var name string
			var params []param
			if name, params, rest, more, err = nextExtension(rest); err != nil {
				return Deflate{}, err
			}
			if !chosen.On && strings.EqualFold(name, deflateName) {
				chosen = offered(params)
			}
		}
	}
	return chosen, nil
}

// offered returns the Deflate that answers an offer; the zero Deflate if the offer is not
// acceptable.
func offered(params []param) Deflate {
	d := Deflate{On: true, ServerTakesOver: true, ClientTakesOver: true, ServerBits: maxBits, ClientBits: maxBits}
	var seen [4]bool
	for _, p := range params {
		which, ok := -1, false
		switch p.name {
		case "server_no_context_takeover":
			which, ok, d.ServerTakesOver = 0, !p.valued, false
		case "client_no_context_takeover":
			which, ok, d.ClientTakesOver = 1, !p.valued, false
		case "server_max_window_bits":
			which, d.namesServerBits = 2, true
			d.ServerBits, ok = p.bits()
		case "client_max_window_bits":
			which, d.namesClientBits = 3, true
			if d.ClientBits, ok = p.bits(); !p.valued {
				d.ClientBits, ok = keptBits, true
			}
		}
		if !ok || seen[which] {
			return Deflate{}
		}
		seen[which] = true
	}
	if d.namesClientBits {
		d.ClientBits = min(d.ClientBits, keptBits)
	} else {
		d.ClientTakesOver = false // otherwise each idle connection would hold 32 KB
	}
	return d
}

// String returns the Sec-WebSocket-Extensions of the answer; "" without compression.
func (d Deflate) String() string {
	if !d.On {
		return ""
	}
	b := append([]byte(nil), deflateName...)
	if !d.ServerTakesOver {
		b = append(b, "; server_no_context_takeover"...)
	}
	if !d.ClientTakesOver {
		b = append(b, "; client_no_context_takeover"...)
	}
	if d.namesServerBits {
		b = strconv.AppendInt(append(b, "; server_max_window_bits="...), int64(d.ServerBits), 10)
	}
	if d.namesClientBits {
		b = strconv.AppendInt(append(b, "; client_max_window_bits="...), int64(d.ClientBits), 10)
	}
	return string(b)
}

// param is a parameter of an extension. valued says that it has a value.
type param struct {
	name, value string
	valued      bool
}

// bits returns the value as max_window_bits: a decimal number without leading zeros.
func (p param) bits() (int, bool) {
	n, err := strconv.Atoi(p.value)
	return n, err == nil && n >= minBits && n <= maxBits && p.value[0] != '0' && p.value[0] != '+'
}

// nextExtension reads one element of a list of extensions. more says that rest has further
// ones. The name of an empty element, which RFC 9110 section 5.6.1 allows, is "".
func nextExtension(s string) (name string, params []param, rest string, more bool, err error) {
	s = trimSpace(s)
	if s == "" || s[0] == ',' {
		if s == "" {
			return "", nil, "", false, nil
		}
		return "", nil, s[1:], true, nil
	}
	name, s = token(s)
	for ok := name != ""; ok; {
		s = trimSpace(s)
		switch {
		case s == "":
			return name, params, "", false, nil
		case s[0] == ',':
			return name, params, s[1:], true, nil
		case s[0] != ';':
			ok = false
			continue
		}
		var p param
		p, s, ok = nextParam(trimSpace(s[1:]))
		params = append(params, p)
	}
	return "", nil, "", false, errExtensions
}

// nextParam reads a parameter. A quoted value must be a token without its quotes (RFC 6455
// section 9.1).
func nextParam(s string) (p param, rest string, ok bool) {
	if p.name, s = token(s); p.name == "" {
		return p, s, false
	}
	p.name = strings.ToLower(p.name)
	after, valued := strings.CutPrefix(trimSpace(s), "=")
	if !valued {
		return p, s, true
	}
	p.valued, s = true, trimSpace(after)
	if strings.HasPrefix(s, `"`) {
		quoted, rest, closed := strings.Cut(s[1:], `"`)
		p.value, s = token(strings.ReplaceAll(quoted, `\`, ""))
		return p, rest, closed && p.value != "" && s == ""
	}
	p.value, s = token(s)
	return p, s, p.value != ""
}

// token returns the token at the start of s, and the rest.
func token(s string) (name, rest string) {
	i := 0
	for i < len(s) && proxy.IsTokenByte(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func trimSpace(s string) string { return strings.Trim(s, " \t") }
