package proxypass

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy"
)

// bindSettings are proxy_bind and proxy_socket_keepalive.
type bindSettings struct {
	address     *proxy.Template // nil: the system chooses
	transparent bool
	keepalive   bool
}

func (p *protocol) socketDirectives() []config.Directive {
	in, k := config.AnyLevel, p.key
	return []config.Directive{
		{Name: p.name + "_bind", In: in, Args: config.Arity{Min: 1, Max: 2}, Syntax: "ADDRESS[:PORT] [transparent] | off", Set: setBind(k),
			Help: "The local address of connections to servers. It may have variables; an empty value, and off, leave the choice to the system. With transparent it need not be an address of this machine, such as $remote_addr: the system then has to lead the servers' packets back here, and the process needs the right CAP_NET_ADMIN, or the answer is 500. Connections are kept for requests with the same address."},
		{Name: p.name + "_socket_keepalive", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.bind.keepalive }),
			Help: "Whether the system looks now and then if a silent server is still there (SO_KEEPALIVE)."},
	}
}

func setBind(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := &k.In(s).bind
		c.address, c.transparent = nil, false
		if len(n.Args) == 2 {
			if n.Arg(1) != "transparent" {
				return &config.Error{Pos: n.Args[1].Pos, Msg: fmt.Sprintf("%s: invalid parameter %q; it takes \"transparent\"", n.Name, n.Arg(1))}
			}
			c.transparent = true
		}
		if n.Arg(0) == "off" && len(n.Args) == 1 {
			return nil
		}
		if !strings.Contains(n.Arg(0), "$") {
			if _, err := parseLocal(n.Arg(0)); err != nil {
				return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("%s: invalid address %q", n.Name, n.Arg(0))}
			}
		}
		c.address = proxy.ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0))
		return nil
	}
}

// parseLocal reads an address with or without a port.
func parseLocal(text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), 0), nil
	}
	addr, err := netip.ParseAddrPort(text)
	if err == nil && addr.Port() == 0 {
		err = errors.New("invalid port")
	}
	return addr, err
}

// local returns the local address of connections for x; "" leaves it to the system. As in
// nginx that is so, too, where the value is no address.
func (b *bindSettings) local(x *proxy.Exchange) string {
	if b.address == nil {
		return ""
	}
	from := b.address.String(x)
	if _, err := parseLocal(from); err != nil && from != "" {
		x.Log(proxy.LevelError, "invalid local address %q", from)
		return ""
	}
	return from
}

// special reports whether sockets need to be set up.
func (b *bindSettings) special() bool { return b.address != nil || b.keepalive }

// prepare sets up a socket whose connections have the local address from, "" for any.
func (b *bindSettings) prepare(fd int, from string, to unix.Sockaddr) error {
	if b.keepalive {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
			return os.NewSyscallError("setsockopt(SO_KEEPALIVE)", err)
		}
	}
	if _, isUnix := to.(*unix.SockaddrUnix); isUnix || from == "" {
		return nil
	}
	addr, _ := parseLocal(from) // checked by local
	if err := freely(fd, b.transparent, addr.Port() == 0, addr.Addr().Is4()); err != nil {
		return err
	}
	var local unix.Sockaddr = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if addr.Addr().Is4() {
		local = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	if err := unix.Bind(fd, local); err != nil {
		return &failure{status: 500, reason: "bind(" + from + ") failed (" + systemText(err) + ") " + whileConnecting, crit: true}
	}
	return nil
}
