package resolver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
)

// Feature has the directives, and their settings in each block.
type Feature struct{ settings *config.Key[settings] }

// settings are the settings of a block.
type settings struct {
	options *options // of the resolver directive; nil: there is none
	timeout time.Duration
}

// options are the parameters of one resolver directive. They do not change.
type options struct {
	servers    []string      // HOST:PORT
	valid      time.Duration // how long answers are kept; -1: by their TTL
	ipv4, ipv6 bool          // the families that are asked for
}

const port = "53"

// New returns the feature.
func New() *Feature {
	return &Feature{config.NewKey(func() settings { return settings{timeout: 30 * time.Second} })}
}

// Module returns the feature as a module.
func (f *Feature) Module() proxy.Module {
	return proxy.Module{Name: "resolver", Settings: f.settings, Directives: f.Directives(config.AnyLevel)}
}

// Directives returns the directives for the contexts in in; 0: for a feature's own block. A
// nil Feature has none.
func (f *Feature) Directives(in config.Context) []config.Directive {
	if f == nil {
		return nil
	}
	return []config.Directive{
		{Name: "resolver", In: in, Args: config.SomeArg, Syntax: "ADDRESS[:PORT] ... [valid=TIME] [ipv4=on|off] [ipv6=on|off] [status_zone=ZONE]", Set: f.setServers,
			Help: "The name servers that look up host names while requests are served: those in proxy_pass and its like with variables, and servers of upstream blocks with \"resolve\". The name servers take turns. They are asked by UDP, and by TCP if an answer is too long for UDP. If one fails, or does not answer within 5 seconds, the next one is asked. ADDRESS may be a host name, which is looked up when the configuration is read. The default of PORT is 53. Answers are kept for their time to live, or for the time of valid=. ipv4=off and ipv6=off leave out the addresses of that family. At most 4096 answers are kept. At most 1024 names are looked up at a time; further ones fail. Before a certificate is ordered, the first name server is also asked whether a name leads to this host. status_zone= has no effect."},
		{Name: "resolver_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "30s",
			Set:  config.Duration(f.settings, func(c *settings) *time.Duration { return &c.timeout }),
			Help: "How long looking up a name may take. After that, the request that needs the name is answered with 502."},
	}
}

func (f *Feature) setServers(s *config.Scope, n *config.Node) error {
	o := &options{valid: -1, ipv4: true, ipv6: true}
	for _, a := range n.Args {
		if err := o.argument(s.Load(), a); err != nil {
			return &config.Error{Pos: a.Pos, Msg: err.Error()}
		}
	}
	switch {
	case len(o.servers) == 0:
		return errors.New("resolver has no address of a name server")
	case !o.ipv4 && !o.ipv6:
		return errors.New(`"ipv4" and "ipv6" cannot both be "off"`)
	}
	f.settings.In(s).options = o
	return nil
}

// argument reads one argument of resolver: a parameter, or the address of a name server.
func (o *options) argument(l *config.Load, a config.Arg) (err error) {
	word, value, named := strings.Cut(a.Text, "=")
	if !named {
		return o.add(l.Resources.Host, a.Text)
	}
	switch word {
	case "valid":
		o.valid, err = config.ParseTime(value)
	case "ipv4":
		o.ipv4, err = parseSwitch(value)
	case "ipv6":
		o.ipv6, err = parseSwitch(value)
	case "status_zone":
		l.Note(a.Pos, "status_zone of resolver has no effect")
	default:
		return fmt.Errorf("invalid parameter %q of resolver; it takes valid=TIME, ipv4=on|off, ipv6=on|off and status_zone=ZONE", a.Text)
	}
	if err != nil {
		return fmt.Errorf("invalid parameter %q of resolver: %w", a.Text, err)
	}
	return nil
}

func parseSwitch(value string) (bool, error) {
	if value != "on" && value != "off" {
		return false, fmt.Errorf("%q is not one of \"on\", \"off\"", value)
	}
	return value == "on", nil
}

// add adds the name servers at HOST[:PORT]: one for each address of the host.
func (o *options) add(h config.Host, text string) error {
	host, at := text, port
	if before, after, err := net.SplitHostPort(text); err == nil {
		host, at = before, after
	} else if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		host = text[1 : len(text)-1]
	}
	if _, err := config.ParseInt(at, 1, 65535); err != nil {
		return fmt.Errorf("invalid port in resolver %q; allowed is a number from 1 to 65535", text)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		o.servers = append(o.servers, net.JoinHostPort(ip.String(), at))
		return nil
	}
	if host == "" || strings.ContainsAny(host, " /:[]$") {
		return fmt.Errorf("invalid address %q of a name server; it is an IP address or a host name, with or without :PORT", text)
	}
	found, err := h.LookUp(host)
	if err != nil {
		return fmt.Errorf("host not found in resolver %q: %w", text, err)
	}
	for _, ip := range found {
		o.servers = append(o.servers, net.JoinHostPort(ip.String(), at))
	}
	return nil
}

// Of returns the Resolver for s; nil if no resolver directive is in effect there. A Resolver
// and its cache live on through reloads that do not change its settings.
func (f *Feature) Of(s *config.Scope) (*Resolver, error) {
	if f == nil {
		return nil, nil
	}
	c := f.settings.In(s)
	if c.options == nil {
		return nil, nil
	}
	key := fmt.Sprintf("resolver %+v %s", *c.options, c.timeout)
	return config.Hold(s.Load().Resources, key, func() (*Resolver, error) { return newResolver(c.options, key, c.timeout), nil })
}

// First returns the address of the first name server for s, as HOST:PORT; "": there is none.
func (f *Feature) First(s *config.Scope) string {
	if o := f.settings.In(s).options; o != nil {
		return o.servers[0]
	}
	return ""
}
