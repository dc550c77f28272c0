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

// Feature is the directives, and what they say in each block.
type Feature struct{ settings *config.Key[settings] }

// settings are what a block says.
type settings struct {
	options *options // of the nearest resolver directive; nil: there is none
	timeout time.Duration
}

// options are what one resolver directive says. They do not change.
type options struct {
	servers    []string      // HOST:PORT
	valid      time.Duration // how long answers are kept; -1: as long as they say
	ipv4, ipv6 bool          // which addresses are asked for
}

const port = "53"

// New returns the feature.
func New() *Feature {
	return &Feature{config.NewKey(func() settings { return settings{timeout: 30 * time.Second} })}
}

// Module returns it as a module.
func (f *Feature) Module() proxy.Module {
	return proxy.Module{Name: "resolver", Settings: f.settings, Directives: f.Directives(config.AnyLevel)}
}

// Directives returns the directives, for blocks in in; 0: for those of a feature's own block.
// A nil Feature has none.
func (f *Feature) Directives(in config.Context) []config.Directive {
	if f == nil {
		return nil
	}
	return []config.Directive{
		{Name: "resolver", In: in, Args: config.SomeArg, Syntax: "ADDRESS[:PORT] ... [valid=TIME] [ipv4=on|off] [ipv6=on|off] [status_zone=ZONE]", Set: f.setServers,
			Help: "The name servers that are asked for the addresses of hosts while requests are served: for those that variables in proxy_pass and its like name, and for servers of upstream blocks with \"resolve\". They are asked in turn, by UDP, and by TCP where an answer is too long for that; one that fails or is silent for 5 seconds is followed by the next. ADDRESS may be a host name, which is looked up when the configuration is read; PORT is 53. Answers are kept for as long as they say, or for valid=. ipv4=off and ipv6=off leave out the addresses of that kind. At most 4096 names are kept, and 1024 looked up at a time; further ones fail. The first name server is also asked whether a name leads to this host before a certificate is ordered. status_zone= has no effect."},
		{Name: "resolver_timeout", In: in, Args: config.OneArg, Syntax: "TIME", Default: "30s",
			Set:  config.Duration(f.settings, func(c *settings) *time.Duration { return &c.timeout }),
			Help: "How long name servers may take for a name. Past it the request that needs it is answered 502."},
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

// argument reads a parameter, or the address of a name server.
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

// add adds the name servers at HOST[:PORT]: all addresses of the host.
func (o *options) add(h config.Host, text string) error {
	host, at := text, port
	if before, after, err := net.SplitHostPort(text); err == nil {
		host, at = before, after
	} else if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		host = text[1 : len(text)-1]
	}
	if _, err := config.ParseInt(at, 1, 65535); err != nil {
		return fmt.Errorf("invalid port in resolver %q; it is a number from 1 to 65535", text)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		o.servers = append(o.servers, net.JoinHostPort(ip.String(), at))
		return nil
	}
	if host == "" || strings.ContainsAny(host, " /:[]$") {
		return fmt.Errorf("%q is not the address of a name server", text)
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

// Of returns the Resolver in effect for s; nil where no directive names a name server.
// What is asked by one configuration is known to the next.
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

// First returns the address, as HOST:PORT, of the first name server in effect for s; "":
// there is none.
func (f *Feature) First(s *config.Scope) string {
	if o := f.settings.In(s).options; o != nil {
		return o.servers[0]
	}
	return ""
}
