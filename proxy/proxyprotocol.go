package proxy

import (
	"net/netip"
	"strconv"

	"alicorn/proxy/proxyproto"
)

// proxyProtocolVariables are what the header of the PROXY protocol says; none
// is found where the connection had no header, or one without addresses.
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
