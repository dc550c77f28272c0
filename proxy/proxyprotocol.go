package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"alicorn/proxy/proxyproto"
)

// ProxyProtocol says whether connections to an address begin with a header of the PROXY
// protocol. The zero value says that they do not.
type ProxyProtocol struct {
	// Due says that each connection must begin with a header. Only variables show its
	// addresses: nginx's proxy_protocol.
	Due bool
	// Optional says that a connection from one of Peers, or over a unix socket, may begin
	// with a header, whose source is the client's address then. A header from any other
	// peer is refused: gunicorn's proxy_protocol and proxy_allow_ips.
	Optional bool
	Peers    Prefixes
}

// IsZero reports whether connections begin without a header.
func (p *ProxyProtocol) IsZero() bool { return !p.Due && !p.Optional }

func (p *ProxyProtocol) equals(o *ProxyProtocol) bool {
	return p.Due == o.Due && p.Optional == o.Optional && slices.Equal(p.Peers, o.Peers)
}

// Allows reports whether c's peer may send a header.
func (p *ProxyProtocol) Allows(c *Conn) bool {
	peer, ok := c.RemoteIP()
	return p.Due || !ok || p.Peers.Contain(peer)
}

// parsePeers reads the value of listen's proxy_protocol_from.
func parsePeers(text string) (peers Prefixes, err error) {
	switch text {
	case "none":
		return nil, nil
	case "*":
		return Everywhere(), nil
	}
	for word := range strings.SplitSeq(text, ",") {
		peer, err := ParsePrefix(word)
		if err != nil {
			return nil, fmt.Errorf("invalid address %q of proxy_protocol_from: it takes addresses and networks, as in 192.0.2.1,10.0.0.0/8, or *, or none", word)
		}
		peers = append(peers, peer)
	}
	return peers, nil
}

// proxyProtocolVariables show the header of the PROXY protocol. They are not found if the
// connection had no header, or one without addresses.
func proxyProtocolVariables() []Variable {
	source := func(h *proxyproto.Header) netip.AddrPort { return h.Source }
	destination := func(h *proxyproto.Header) netip.AddrPort { return h.Destination }
	return []Variable{
		proxiedAddress("proxy_protocol_addr", source),
		proxiedPort("proxy_protocol_port", source),
		proxiedAddress("proxy_protocol_server_addr", destination),
		proxiedPort("proxy_protocol_server_port", destination),
		{Name: "proxy_protocol_tlv_", Family: proxiedTLV},
	}
}

func proxiedAddress(name string, end func(h *proxyproto.Header) netip.AddrPort) Variable {
	return Variable{Name: name, Get: func(x *Exchange, dst []byte) ([]byte, bool) {
		h := x.Conn.ProxyProtocol
		if h == nil {
			return dst, false
		}
		return end(h).Addr().AppendTo(dst), true
	}}
}

// proxiedPort is empty for port 0, as in nginx.
func proxiedPort(name string, end func(h *proxyproto.Header) netip.AddrPort) Variable {
	return Variable{Name: name, Get: func(x *Exchange, dst []byte) ([]byte, bool) {
		h := x.Conn.ProxyProtocol
		if h == nil {
			return dst, false
		}
		if port := end(h).Port(); port != 0 {
			dst = strconv.AppendUint(dst, uint64(port), 10)
		}
		return dst, true
	}}
}

// proxiedTLV is $proxy_protocol_tlv_NAME; see proxyproto.TLVOf.
func proxiedTLV(name string) Getter {
	tlv, ok := proxyproto.TLVOf(name)
	if !ok {
		return nil
	}
	return func(x *Exchange, dst []byte) ([]byte, bool) { return tlv.Append(x.Conn.ProxyProtocol, dst) }
}
