package acme

import (
	"fmt"
	"path/filepath"
	"strings"

	"alicorn/config"
	"alicorn/config/osfile"
	"alicorn/tls/acme"
)

type settings struct {
	file     *file        // one for the whole configuration
	issuer   *acme.Issuer // that this acme_issuer block describes; nil elsewhere
	urls     config.List[string]
	email    string
	staging  bool
	hook     config.List[string]
	redirect bool
	internal bool
	// certificate is this server's own acme_certificate.
	certificate *certificate
	site        *site // for a server with automatic certificates
}

// file is shared by all blocks of a configuration.
type file struct{ issuers []*acme.Issuer }

func (f *file) issuer(name string) *acme.Issuer {
	for _, i := range f.issuers {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// certificate is an acme_certificate directive.
type certificate struct {
	node  *config.Node
	names []string
	key   acme.KeyType
}

const levels = config.HTTP | config.Server

func (f *Feature) directives() []config.Directive {
	k := f.settings
	return []config.Directive{
		{Name: "acme_certificate", In: config.Server, Args: config.SomeArg, Syntax: "ISSUER [NAME ...] [key=ALG:SIZE]", Set: f.setCertificate,
			Help: "Orders the server's certificates from this acme_issuer: for the names given, else for those of server_name. Unlike with nginx, each name has a certificate of its own, wildcards are possible with acme_dns_hook, and \"ssl_certificate $acme_certificate\" may be left out. key= is ecdsa:256 (the default), ecdsa:384, ecdsa:521, rsa:2048, rsa:3072 or rsa:4096."},
		{Name: "acme_issuer", In: config.HTTP, Block: true, Inside: f.issuerDirectives(), Args: config.OneArg, Repeat: true, Syntax: "NAME", Set: f.openIssuer,
			Help: "An authority that speaks ACME, for acme_certificate and automatic certificates."},
		{Name: "acme_ca", In: levels, Args: config.SomeArg, Syntax: "URL ...", Default: acme.LetsEncrypt,
			Set:  config.Strings(k, func(c *settings) *config.List[string] { return &c.urls }),
			Help: "The directories of the authorities that automatic certificates come from, asked in turn until one gives a certificate. Their terms of service are accepted. Without it those of all acme_issuer blocks are asked, in their order, else Let's Encrypt."},
		{Name: "acme_email", In: levels, Args: config.OneArg, Syntax: "ADDRESS", Set: config.String(k, func(c *settings) *string { return &c.email }),
			Help: "The address at which the authorities of acme_ca, or Let's Encrypt, reach you. It is optional."},
		{Name: "acme_staging", In: levels, Args: config.OneArg, Syntax: "on | off", Default: "off", Set: config.Flag(k, func(c *settings) *bool { return &c.staging }),
			Help: "Orders from Let's Encrypt's staging directory, to try a set-up out: its limits are high, and browsers do not trust its certificates."},
		{Name: "acme_dns_hook", In: levels, Args: config.SomeArg, Syntax: "COMMAND [ARGUMENT ...]",
			Set:  config.Strings(k, func(c *settings) *config.List[string] { return &c.hook }),
			Help: "Answers DNS-01, which wildcards need. COMMAND runs as the serving user, without a shell, with the priority that worker_priority gives the server. Its further arguments are \"present\", the name of a TXT record with its final dot, and the value. It must end with status 0 within ten minutes, when the zone's servers answer with the record. Later it runs with \"cleanup\" and the same name and value."},
		{Name: "auto_redirect", In: levels, Args: config.OneArg, Syntax: "on | off", Default: "on", Set: config.Flag(k, func(c *settings) *bool { return &c.redirect }),
			Help: "A server with automatic certificates on port 443 listens on port 80 too, unless a server there has one of its names, and sends clients to https:// once a certificate is there (301, or 308 where a method other than GET must be kept); until then it serves. With off, and with acme_certificate, it does so only where nothing listens on port 80, and with off it always serves there. Challenges are answered by every server."},
		{Name: "tls_internal", In: levels, Args: config.OneArg, Syntax: "on | off", Default: "off", Set: config.Flag(k, func(c *settings) *bool { return &c.internal }),
			Help: "Takes the certificates of servers without ssl_certificate from a local authority in the state directory, made when it is first needed: for development, localhost and names that no public authority certifies. \"alicorn cert\" says which file to trust."},
		{Name: "acme_shared_zone", In: config.HTTP, Args: config.OneArg, NoEffect: true, Syntax: "zone=NAME:SIZE",
			Help: "One process has all certificates: there is nothing to share."},
	}
}

func (f *Feature) setCertificate(s *config.Scope, n *config.Node) error {
	c := &certificate{node: n, key: "ecdsa:256"}
	for _, a := range n.Args[1:] {
		if key, ok := strings.CutPrefix(a.Text, "key="); ok {
			var err error
			if c.key, err = acme.ParseKeyType(key); err != nil {
				return &config.Error{Pos: a.Pos, Msg: "acme_certificate: " + err.Error()}
			}
			continue
		}
		name, err := ascii(a.Text)
		if err == nil {
			err = acme.Orderable(name)
		}
		if err != nil {
			return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("acme_certificate: no certificate can be ordered for %q: %s", a.Text, err)}
		}
		c.names = append(c.names, name)
	}
	f.settings.In(s).certificate = c
	return nil
}

// issuerDirectives are those inside an acme_issuer block.
func (f *Feature) issuerDirectives() []config.Directive {
	k := f.settings
	text := func(field func(i *acme.Issuer) *string) config.Setter {
		return config.String(k, func(c *settings) *string { return field(c.issuer) })
	}
	return []config.Directive{
		{Name: "uri", Args: config.OneArg, Syntax: "URL", Set: text(func(i *acme.Issuer) *string { return &i.Directory }),
			Help: "The URL of the authority's directory (RFC 8555 section 7.1.1). It is required."},
		{Name: "contact", Args: config.OneArg, Repeat: true, Syntax: "URL", Set: f.setContact,
			Help: "The address at which the authority reaches you; mailto: may be left out."},
		{Name: "account_key", Args: config.OneArg, Syntax: "ALG[:SIZE] | FILE", Default: "ecdsa:256", Set: f.setAccountKey,
			Help: "The type of the account's private key, which is made and kept in state_path: ecdsa:256, ecdsa:384, ecdsa:521, rsa:2048, rsa:3072 or rsa:4096; or a file with one in PEM format."},
		{Name: "external_account_key", Args: config.TwoArgs, Syntax: "ID FILE", Set: f.setExternalKey,
			Help: "Binds the account to one that the authority knows (RFC 8555 section 7.3.4): its key identifier, and a file with the MAC key in base64url, or the key itself after data:."},
		{Name: "challenge", Args: config.OneArg, Syntax: "http-01 | tls-alpn-01 | dns-01", Set: f.setChallenge,
			Help: "The only type of challenge to use. Without it every type that can be answered is used (in nginx only http-01). The number may be left out."},
		{Name: "profile", Args: config.Arity{Min: 1, Max: 2}, Syntax: "NAME [require]", Set: f.setProfile,
			Help: "One of the authority's certificate profiles. When it does not offer that one its default is taken, or with require the order fails."},
		{Name: "preferred_chain", Args: config.OneArg, Syntax: "NAME", Set: text(func(i *acme.Issuer) *string { return &i.PreferredChain }),
			Help: "Takes the chain whose last certificate was issued by this common name, where the authority offers several."},
		{Name: "ssl_trusted_certificate", Args: config.OneArg, Syntax: "FILE", Set: f.setRoots,
			Help: "A file of root certificates, in PEM format, against which the certificate of the authority's API is verified, in place of the system's."},
		{Name: "ssl_verify", Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set: func(s *config.Scope, n *config.Node) error {
				on := n.Arg(0) == "on"
				if !on && n.Arg(0) != "off" {
					return fmt.Errorf("ssl_verify takes on or off, not %q", n.Arg(0))
				}
				k.In(s).issuer.Insecure = !on
				return nil
			},
			Help: "Whether the certificate of the authority's API is verified."},
		{Name: "state_path", Args: config.OneArg, Syntax: "FOLDER", Default: "acme_NAME", Set: f.setState,
			Help: "Where the account, and the certificates with their keys, are kept; relative to the state directory. Started as root the server makes the folder and gives it to the serving user. Several processes may share it. \"off\" is refused, because each start would order all certificates again."},
		{Name: "accept_terms_of_service", Args: config.NoArgs,
			Set: func(s *config.Scope, n *config.Node) error {
				k.In(s).issuer.AcceptTerms = true
				return nil
			},
			Help: "Agrees to the authority's terms of service; most have some, and the log then says where."},
	}
}

func (f *Feature) openIssuer(s *config.Scope, n *config.Node) error {
	f.settings.In(s).issuer = &acme.Issuer{Name: n.Arg(0)}
	return nil
}

func (f *Feature) setContact(s *config.Scope, n *config.Node) error {
	c := f.settings.In(s)
	c.issuer.Contacts = append(c.issuer.Contacts, contact(n.Arg(0)))
	return nil
}

func contact(text string) string {
	if strings.Contains(text, ":") {
		return text
	}
	return "mailto:" + text
}

func (f *Feature) setAccountKey(s *config.Scope, n *config.Node) error {
	i := f.settings.In(s).issuer
	if key, err := acme.ParseKeyType(n.Arg(0)); err == nil {
		i.KeyType = key
		return nil
	}
	content, err := read(s, n, 0)
	i.AccountKey = content
	return err
}

func (f *Feature) setExternalKey(s *config.Scope, n *config.Node) error {
	i := f.settings.In(s).issuer
	i.EABKey = n.Arg(0)
	if secret, ok := strings.CutPrefix(n.Arg(1), "data:"); ok {
		i.EABSecret = strings.TrimRight(secret, "=")
		return nil
	}
	content, err := read(s, n, 1)
	i.EABSecret = strings.TrimRight(strings.TrimSpace(content), "=")
	return err
}

func (f *Feature) setChallenge(s *config.Scope, n *config.Node) error {
	i := f.settings.In(s).issuer
	switch n.Arg(0) {
	case "http", "http-01":
		i.Challenge = acme.HTTP01
	case "tls-alpn", "tls-alpn-01":
		i.Challenge = acme.TLSALPN01
	case "dns", "dns-01":
		i.Challenge = acme.DNS01
	default:
		return fmt.Errorf("%q is not a challenge; use http-01, tls-alpn-01 or dns-01", n.Arg(0))
	}
	return nil
}

func (f *Feature) setProfile(s *config.Scope, n *config.Node) error {
	i := f.settings.In(s).issuer
	i.Profile = n.Arg(0)
	if len(n.Args) == 2 {
		if n.Arg(1) != "require" {
			return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("invalid parameter %q of profile; it takes require", n.Arg(1))}
		}
		i.RequireProfile = true
	}
	return nil
}

func (f *Feature) setRoots(s *config.Scope, n *config.Node) error {
	content, err := read(s, n, 0)
	f.settings.In(s).issuer.Roots = content
	return err
}

func (f *Feature) setState(s *config.Scope, n *config.Node) error {
	if n.Arg(0) == "off" {
		return fmt.Errorf("state_path off is not possible: every start would order all certificates again, which authorities limit")
	}
	state := f.state(n.Arg(0))
	f.settings.In(s).issuer.State = state
	storeIn(s.Load(), n.Args[0].Pos, state)
	return nil
}

// state returns the path of a folder, which is below the state directory unless name is absolute.
func (f *Feature) state(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.options.State, name)
}

// read returns the content of the file that argument i names.
func read(s *config.Scope, n *config.Node, i int) (string, error) {
	content, err := s.Load().Resources.Host.ReadFile(s.Load().ConfPath(n.Arg(i)))
	if err != nil {
		return "", &config.Error{Pos: n.Args[i].Pos, Msg: fmt.Sprintf("%s: cannot read %q: %s", n.Name, n.Arg(i), osfile.Cause(err))}
	}
	return string(content), nil
}

// leave checks an acme_issuer block when it ends.
func (f *Feature) leave(s *config.Scope, c *settings) error {
	i := c.issuer
	if i == nil {
		return nil
	}
	if i.State == "" {
		i.State = f.state("acme_" + i.Name)
	}
	switch {
	case c.file.issuer(i.Name) != nil:
		return fmt.Errorf("duplicate acme_issuer %q", i.Name)
	case strings.ContainsAny(i.Name, "/\\"):
		return fmt.Errorf("invalid issuer name %q: must not contain a slash", i.Name)
	case i.Directory == "":
		return fmt.Errorf("acme_issuer %q needs uri", i.Name)
	}
	if err := i.Check(); err != nil {
		return fmt.Errorf("acme_issuer %q: %w", i.Name, err)
	}
	c.file.issuers = append(c.file.issuers, i)
	return nil
}
