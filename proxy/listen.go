package proxy

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"alicorn/config"
)

// Listen is one listen directive.
type Listen struct {
	Pos     config.Pos
	Network string // "tcp4", "tcp6" or "unix"
	Address string // "0.0.0.0:80", "[::]:80", "/run/x.sock"
	Default bool   // default_server
	SSL     bool
	// ProxyProtocol says whether connections begin with a header of the PROXY protocol.
	ProxyProtocol ProxyProtocol
	HTTP2         bool // has no effect, which check -v notes: clients get HTTP/1.1
	// Optional says that no directive asked for the address. If it cannot be bound, that
	// is a warning, and the server does without.
	Optional bool
	Options  config.ListenOptions
	Tuning   Tuning
}

// bare reports whether l has no option of the socket, so that another server's listen for
// the same address may have some.
func (l *Listen) bare() bool {
	return l.Options == config.ListenOptions{V6Only: true} && l.Tuning == Tuning{}
}

// key returns network and address as one string.
func (l *Listen) key() string { return l.Network + "/" + l.Address }

// wildcard returns the key of the wildcard address of l's family and port; "" for a unix
// socket.
func (l *Listen) wildcard() string {
	_, port, err := net.SplitHostPort(l.Address)
	switch {
	case err != nil || l.Network == "unix":
		return ""
	case l.Network == "tcp6":
		return "tcp6/[::]:" + port
	}
	return "tcp4/0.0.0.0:" + port
}

// Covers reports whether a socket of l accepts the connections to o's address, too.
func (l *Listen) Covers(o *Listen) bool { return l.key() == o.key() || l.key() == o.wildcard() }

const insteadOfHTTP2 = "clients that offer HTTP/2 get HTTP/1.1, which all of them speak."

func (m core) setListen(s *config.Scope, n *config.Node) error {
	l, err := parseListen(s.Load().Resources.Host, n)
	if err != nil {
		return err
	}
	c := m.settings.In(s)
	for _, other := range c.server.listens.Items() {
		if other.key() == l.key() {
			return fmt.Errorf("listen %s is duplicate; the first is at %s", n.Arg(0), other.Pos)
		}
	}
	if l.HTTP2 {
		s.Load().Note(n.Pos, "http2 of listen has no effect here: %s", insteadOfHTTP2)
	}
	c.server.listens.Add(s, l)
	return nil
}

func parseListen(h config.Host, n *config.Node) (*Listen, error) {
	l := &Listen{Pos: n.Pos, Options: config.ListenOptions{V6Only: true}}
	if err := l.parseAddress(h, n.Arg(0)); err != nil {
		return nil, &config.Error{Pos: n.Args[0].Pos, Msg: err.Error()}
	}
	for _, a := range n.Args[1:] {
		if err := l.parseOption(a.Text); err != nil {
			return nil, &config.Error{Pos: a.Pos, Msg: err.Error()}
		}
	}
	return l, nil
}

func (l *Listen) parseAddress(h config.Host, text string) error {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return fmt.Errorf("no path in the unix domain socket %q", text)
		}
		if len(path) > 107 {
			return fmt.Errorf("the socket path %q is %d bytes long; the system allows 107", path, len(path))
		}
		l.Network, l.Address = "unix", path
		return nil
	}
	host, port := text, "80"
	if _, err := config.ParseInt(text, 0, math.MaxInt); err == nil {
		host, port = "*", text
	} else if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, p
	} else if strings.HasPrefix(text, "[") {
		host = strings.Trim(text, "[]")
	}
	if _, err := config.ParseInt(port, 0, 65535); err != nil {
		return fmt.Errorf("invalid port in %q of the listen directive", text)
	}
	return l.resolve(h, text, host, port)
}

func (l *Listen) resolve(h config.Host, text, host, port string) error {
	l.Network = "tcp4"
	if host == "*" || host == "" {
		l.Address = "0.0.0.0:" + port
		return nil
	}
	ip, err := netip.ParseAddr(host)
	if v4, ok := inetAton(host); err != nil && ok {
		ip, err = v4, nil
	}
	if err != nil {
		found, err := h.LookUp(host)
		if err != nil {
			return fmt.Errorf("host not found in %q of the listen directive", text)
		}
		// A resolver changes the order of its answers; a reload must keep the address.
		ip = slices.MinFunc(found, netip.Addr.Compare)
	}
	if ip.Is6() {
		l.Network = "tcp6"
	}
	l.Address = net.JoinHostPort(ip.String(), port)
	return nil
}

// inetAton reads an IPv4 address as inet_aton(3) does, and so the resolver of nginx and
// gunicorn: one to four numbers in decimal, octal or hexadecimal, of which the last fills
// the bytes that are left.
func inetAton(text string) (netip.Addr, bool) {
	parts := strings.Split(text, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var address uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		base := 10
		if hex, ok := strings.CutPrefix(strings.ToLower(part), "0x"); ok {
			part, base = hex, 16
		} else if part != "0" && strings.HasPrefix(part, "0") {
			base = 8
		}
		v, err := strconv.ParseUint(part, base, bits)
		if err != nil {
			return netip.Addr{}, false
		}
		address = address<<bits | v
	}
	return netip.AddrFrom4([4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}), true
}

func (l *Listen) parseOption(text string) error {
	name, value, _ := strings.Cut(text, "=")
	known, err := l.Tuning.parse(name, value)
	if known {
		return err
	}
	switch name {
	case "bind": // each address has a socket of its own, unless a wildcard's covers it
	case "default_server", "default":
		l.Default = true
	case "ssl":
		l.SSL = true
	case "proxy_protocol":
		l.ProxyProtocol.Due = true
	case "proxy_protocol_from":
		l.ProxyProtocol.Optional = true
		l.ProxyProtocol.Peers, err = parsePeers(value)
	case "http2":
		l.HTTP2 = true
	case "reuseport":
		l.Options.ReusePort = true
	case "backlog":
		l.Options.Backlog, err = config.ParseInt(value, 1, 1<<20)
	case "mode":
		l.Options.Mode, err = parseMode(value)
		if err == nil && l.Network != "unix" {
			err = fmt.Errorf("mode is for unix sockets, not for %q", l.Address)
		}
	case "ipv6only":
		if value != "on" && value != "off" {
			return fmt.Errorf("ipv6only takes on or off, not %q", value)
		}
		l.Options.V6Only = value == "on"
	default:
		return fmt.Errorf("invalid parameter %q of listen; it takes default_server, ssl, http2, proxy_protocol, proxy_protocol_from=ADDRESS|CIDR,...|*|none, reuseport, backlog=N, ipv6only=on|off, mode=OCTAL, deferred, fastopen=N, rcvbuf=SIZE, sndbuf=SIZE, so_keepalive=on|off|IDLE:INTERVAL:COUNT, bind", text)
	}
	if p := &l.ProxyProtocol; p.Due && p.Optional {
		return fmt.Errorf("proxy_protocol and proxy_protocol_from exclude each other: with the first each connection begins with a header, with the second it may")
	}
	return err
}

// parseMode reads the permissions of a unix socket. Users that may write to it may
// connect.
func parseMode(text string) (int, error) {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return 0, fmt.Errorf("invalid mode %q: it takes permissions in octal from 0001 to 0777, as in mode=0660", text)
	}
	return int(n), nil
}

// defaultListen returns the Listen of a server without listen directives.
func defaultListen(pos config.Pos, port int) *Listen {
	return &Listen{Pos: pos, Network: "tcp4", Address: "0.0.0.0:" + strconv.Itoa(port), Options: config.ListenOptions{V6Only: true}}
}

func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return ""
	}
	return strings.ToLower(h)
}
