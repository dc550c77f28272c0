package proxy_test

import (
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func TestVariablesOfTheProxyProtocol(t *testing.T) {
	variables := strings.Fields(`$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port
		$proxy_protocol_tlv_alpn $proxy_protocol_tlv_0x01 $proxy_protocol_tlv_ssl_verify`)
	s := start(t, `server { listen 80; location / { say "`+strings.Join(variables, "|")+`"; } }`)
	const binary = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x19" + "\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x67\x00\x00" + "\x01\x00\x02h2" + "\x20\x00\x05\x01\x00\x00\x00\x13"
	for _, c := range []struct{ header, want string }{
		{"", "||||||"},
		{"PROXY UNKNOWN\r\n", "||||||"},
		{"PROXY TCP4 192.0.2.1 198.51.100.7 4711 80\r\n", "192.0.2.1|4711|198.51.100.7|80|||"},
		{"PROXY TCP6 2001:DB8::1 ::1 0 443\r\n", "2001:db8::1||::1|443|||"},
		{binary, "192.0.2.1|4711|198.51.100.7||h2|h2|19"},
	} {
		if got := s.Do(proxytest.Request{ProxyProtocol: c.header}).Text(); got != c.want {
			t.Errorf("%q: got %q, want %q", c.header, got, c.want)
		}
	}
}

func TestUnknownTLVsOfTheProxyProtocolAreMistakes(t *testing.T) {
	for _, name := range []string{"proxy_protocol_tlv_nothing", "proxy_protocol_tlv_0x100", "proxy_protocol_tlv_ssl_alpn", "proxy_protocol_tlv_"} {
		_, err := proxytest.Check(t, proxytest.Config{Text: `server { listen 80; location / { say "$` + name + `"; } }`, Modules: []proxy.Module{words()}})
		if err == nil || !strings.Contains(err.Error(), `unknown variable "$`+name+`"`) {
			t.Errorf("$%s: got %v; want an error with %q", name, err, `unknown variable "$`+name+`"`)
		}
	}
}

func TestListenSaysOnceHowConnectionsBegin(t *testing.T) {
	for _, c := range []struct{ first, second, want string }{
		{"proxy_protocol", "", ""},
		{"proxy_protocol", "proxy_protocol", ""},
		{"proxy_protocol_from=10.0.0.1,10.0.0.0/8", "proxy_protocol_from=10.0.0.1,10.1.0.0/8", ""},
		{"proxy_protocol_from=*", "", ""},
		{"proxy_protocol_from=none", "", ""},
		{"proxy_protocol", "proxy_protocol_from=*", "has another proxy_protocol or proxy_protocol_from"},
		{"proxy_protocol_from=10.0.0.1", "proxy_protocol_from=10.0.0.2", "has another proxy_protocol or proxy_protocol_from"},
		{"proxy_protocol proxy_protocol_from=*", "", "exclude each other"},
		{"proxy_protocol_from=", "", `invalid address ""`},
		{"proxy_protocol_from=10.0.0.1,proxy.example", "", `invalid address "proxy.example"`},
		{"proxy_protocol_from=10.0.0.0/33", "", `invalid address "10.0.0.0/33"`},
		{"proxy_protocol_from=fe80::1%lo", "", `invalid address "fe80::1%lo"`},
	} {
		text := "server { listen 80 " + c.first + "; server_name a; }\nserver { listen 80 " + c.second + "; server_name b; }"
		_, err := proxytest.Check(t, proxytest.Config{Text: text})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s and %s: got %v, want %q", c.first, c.second, err, c.want)
		}
	}
}
