package ssl

import (
	"fmt"
	"strings"

	"alicorn/config"
	"alicorn/tls"
)

// cipherDirectives returns the directives for ciphers, groups and OpenSSL's own commands.
func (m module) cipherDirectives() []config.Directive {
	return []config.Directive{
		{Name: "ssl_ciphers", In: levels, Args: config.OneArg, Syntax: "LIST", Set: m.setCiphers,
			Help: "The ciphers for TLS 1.2 and before, as a list in OpenSSL's form: names (ECDHE-RSA-AES128-GCM-SHA256), words (HIGH, ECDHE+AESGCM), and words with ! or -, which remove ciphers (!aNULL, -SHA1). Without the directive these are the ciphers that Go's crypto/tls considers safe. Words select only safe ones; other ciphers that Go has (AES128-SHA, which has no forward secrecy) must be named in full. Names that Go does not have, such as all with DHE, are dropped, and check -v lists them. A list that selects no cipher is an error. The order does not matter: Go prefers by safety, and by what client and server have in hardware. The ciphers of TLS 1.3 are always on."},
		{Name: "ssl_ecdh_curve", In: levels, Args: config.OneArg, Syntax: "auto | NAME[:NAME]...", Default: "auto", Set: m.setCurves,
			Help: "The groups for key exchange, by OpenSSL's names: X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519, prime256v1 (P-256), secp384r1 (P-384), secp521r1 (P-521). auto is Go's default: all of them but the largest hybrid. Other names are dropped, and check -v lists them. A list without a name that Go has is an error. The order does not matter."},
		{Name: "ssl_conf_command", In: levels, Args: config.TwoArgs, Repeat: true, Syntax: "COMMAND VALUE", Set: m.setCommand,
			Help: "A command of OpenSSL's SSL_CONF_cmd(3). CipherString is the same as ssl_ciphers, Groups and Curves as ssl_ecdh_curve; Protocol, MinProtocol and MaxProtocol set what ssl_protocols sets; Options -SessionTicket is the same as ssl_session_tickets off. Ciphersuites and the other Options (PrioritizeChaCha, KTLS, ServerPreference) have no effect, which check -v reports: Go decides these. Other commands are errors."},
	}
}

func withoutEffect() []config.Directive {
	accepted := func(name, syntax, why string) config.Directive {
		return config.Directive{Name: name, In: levels, Args: config.Arity{Min: 1, Max: 3}, NoEffect: true, Syntax: syntax, Help: why}
	}
	return []config.Directive{
		accepted("ssl_prefer_server_ciphers", "on | off", "Go's crypto/tls orders ciphers by safety, and by what client and server have in hardware."),
		accepted("ssl_dhparam", "FILE", "Go's crypto/tls has no ciphers with finite-field Diffie-Hellman; those with ECDHE are used instead."),
		accepted("ssl_stapling_verify", "on | off", "OCSP responses that are fetched are always verified."),
		accepted("ssl_early_data", "on | off", "Go's crypto/tls accepts no early data, which could be replayed."),
		accepted("ssl_certificate_cache", "off | max=N [inactive=TIME] [valid=TIME]", "certificates whose names have variables are read in each handshake that needs one."),
		accepted("ssl_certificate_compression", "on | off", "Go's crypto/tls does not compress certificates."),
		accepted("ssl_object_cache_inheritable", "on | off", "a reload reads all files again, so that it never misses a new certificate."),
		accepted("ssl_buffer_size", "SIZE", "the size of records adapts by itself: the first ones are small, so that the first bytes arrive early, and later ones are larger."),
	}
}

func (m module) setCiphers(s *config.Scope, n *config.Node) error {
	return useList(s, n, n.Args[0], tls.CipherList, &m.settings.In(s).options.Ciphers)
}

func (m module) setCurves(s *config.Scope, n *config.Node) error {
	return useList(s, n, n.Args[0], tls.CurveList, &m.settings.In(s).options.Curves)
}

// useList sets ids to those that a list of OpenSSL's names selects. It records a note of the
// names that Go does not have.
func useList[ID any](s *config.Scope, n *config.Node, list config.Arg, parse func(string) ([]ID, []string, error), ids *[]ID) error {
	parsed, dropped, err := parse(list.Text)
	if err != nil {
		return &config.Error{Pos: list.Pos, Msg: fmt.Sprintf("%s: %s", n.Name, err)}
	}
	if len(dropped) > 0 {
		s.Load().Note(list.Pos, "%s: not known to Go's crypto/tls and dropped: %s", n.Name, strings.Join(dropped, " "))
	}
	*ids = parsed
	return nil
}

func (m module) setCommand(s *config.Scope, n *config.Node) error {
	command, value := n.Arg(0), n.Args[1]
	c := m.settings.In(s)
	switch strings.ToLower(command) {
	case "cipherstring":
		return useList(s, n, value, tls.CipherList, &m.settings.In(s).options.Ciphers)
	case "groups", "curves":
		return useList(s, n, value, tls.CurveList, &m.settings.In(s).options.Curves)
	case "minprotocol", "maxprotocol":
		oldest, newest, err := tls.VersionRange([]string{value.Text})
		if err != nil {
			return &config.Error{Pos: value.Pos, Msg: "ssl_conf_command: " + err.Error()}
		}
		if strings.EqualFold(command, "minprotocol") {
			c.options.MinVersion = oldest
		} else {
			c.options.MaxVersion = newest
		}
		return nil
	case "protocol":
		return m.useProtocols(s, n, strings.Split(value.Text, ","))
	case "options":
		return c.useOpenSSLOptions(s, value)
	case "ciphersuites":
		s.Load().Note(value.Pos, "ssl_conf_command Ciphersuites has no effect here: Go always uses all three suites of TLS 1.3 that browsers speak")
		return nil
	}
	return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("ssl_conf_command does not know %q; it takes CipherString, Ciphersuites, Groups, MinProtocol, MaxProtocol, Protocol, Options", command)}
}

// useOpenSSLOptions reads the Options of SSL_CONF_cmd: names with commas between them. "-"
// switches an option off.
func (c *settings) useOpenSSLOptions(s *config.Scope, value config.Arg) error {
	for _, o := range strings.Split(value.Text, ",") {
		switch strings.TrimPrefix(o, "+") {
		case "-SessionTicket":
			c.resume.tickets = false
		case "SessionTicket":
			c.resume.tickets = true
		default:
			s.Load().Note(value.Pos, "ssl_conf_command Options %s has no effect here: Go's crypto/tls decides that", o)
		}
	}
	return nil
}
