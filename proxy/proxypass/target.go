package proxypass

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// target is the value of proxy_pass or its like.
type target struct {
	// With variables only these are set:
	value *proxy.Template
	parse func(text string) (*target, error) // parses a value that was computed
	shown *proxy.Template                    // $proxy_host
	text  string                             // of value

	origin string // the URL without the URI: "http://127.0.0.1:8000"
	uri    string // replaces the location's name; "": the URL has no URI
	host   string // $proxy_host: the name, with the port if it is not the scheme's default
	port   string // $proxy_port; "": a unix socket
	secure bool   // TLS; with variables: requests may name a server with TLS
	name   string // the name that an upstream block may have
	addr   address
}

// address is the address of a server: a host with a port, or the path of a unix socket.
type address struct {
	host, port string
	ported     bool   // the configuration has the port
	path       string // "": host and port are used
}

// Default ports of servers.
const (
	defaultPort = "80"
	securePort  = "443"
)

// parseTarget reads the URL of proxy_pass.
func parseTarget(text string) (*target, error) {
	t, port := &target{}, defaultPort
	rest, ok := cutScheme(text, "http")
	if !ok {
		rest, ok = cutScheme(text, "https")
		t.secure, port = true, securePort
	}
	if !ok {
		return nil, fmt.Errorf("invalid URL %q of proxy_pass; it must begin with \"http://\" or \"https://\"", text)
	}
	where := rest
	if strings.HasPrefix(rest, "unix:") {
		if i := strings.IndexByte(rest[len("unix:"):], ':'); i >= 0 {
			i += len("unix:")
			where, t.uri = rest[:i], rest[i+1:]
		}
	} else if i := strings.IndexAny(rest, "/?"); i >= 0 {
		where, t.uri = rest[:i], rest[i:]
	}
	scheme := text[:len(text)-len(rest)]
	t.origin = text[:len(scheme)+len(where)]
	if lower := strings.ToLower(scheme); lower != scheme {
		t.origin = lower + where
	}
	var err error
	if t.addr, err = parseAddress(where, port); err != nil {
		return nil, fmt.Errorf("invalid URL %q of proxy_pass: %w", text, err)
	}
	switch {
	case t.addr.path != "":
		t.host, t.name = "localhost", where
	case t.addr.ported && t.addr.port != port:
		t.host, t.port, t.name = where, t.addr.port, t.addr.host
	default:
		t.host, t.port, t.name = strings.TrimSuffix(where, ":"+t.addr.port), t.addr.port, t.addr.host
	}
	return t, nil
}

// cutScheme returns the text behind SCHEME://, whose case does not matter.
func cutScheme(text, scheme string) (rest string, ok bool) {
	n := len(scheme) + len("://")
	if len(text) < n || !strings.EqualFold(text[:n], scheme+"://") {
		return text, false
	}
	return text[n:], true
}

// parseAddress reads HOST[:PORT], [IPv6][:PORT] or unix:PATH. port is the default port.
func parseAddress(text, port string) (address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return address{}, fmt.Errorf("the path of unix socket %q does not begin with \"/\"", text)
		}
		return address{path: path}, nil
	}
	a := address{host: text, port: port}
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		a.host, a.port, a.ported = text[:i], text[i+1:], true
		if _, err := config.ParseInt(a.port, 1, 65535); err != nil {
			return a, fmt.Errorf("invalid port %q; it is a number from 1 to 65535", a.port)
		}
	}
	if strings.HasPrefix(a.host, "[") && strings.HasSuffix(a.host, "]") {
		inner := a.host[1 : len(a.host)-1]
		if ip := net.ParseIP(inner); ip == nil || !strings.Contains(inner, ":") {
			return a, fmt.Errorf("invalid IPv6 address %q", a.host)
		}
		a.host = inner
		return a, nil
	}
	switch {
	case a.host == "":
		return a, errors.New("no host")
	case strings.ContainsAny(a.host, "[]: \t\"\\{}"):
		return a, fmt.Errorf("invalid host %q", a.host)
	}
	return a, nil
}

// number returns the port.
func (a address) number() uint16 {
	port, _ := config.ParseInt(a.port, 1, 65535)
	return uint16(port)
}

// written returns the address of a host as the configuration has it.
func (a address) written() string {
	if !a.ported {
		return a.host
	}
	return net.JoinHostPort(a.host, a.port)
}

// String returns the address as in $upstream_addr.
func (a address) String() string {
	if a.path != "" {
		return "unix:" + a.path
	}
	return net.JoinHostPort(a.host, a.port)
}
