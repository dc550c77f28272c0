package ssl

import (
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/tls"
)

// file is an argument that names a file, or is "data:" and the content.
type file struct {
	path     string          // absolute, or "data:" and the content
	template *proxy.Template // nil: path has no variables
	pos      config.Pos
}

const inline = "data:"

// automatic is, in a configuration for nginx's ACME module, the argument in place of the
// certificate's file; with "_key" in place of the key's file.
const automatic = "$acme_certificate"

// shown returns f's path for messages; "data:" instead of content.
func (f file) shown() string {
	if strings.HasPrefix(f.path, inline) {
		return inline
	}
	return f.path
}

func addFile(l *config.List[file], s *config.Scope, n *config.Node) error {
	a := n.Args[0]
	for _, prefix := range []string{"engine:", "store:"} {
		if strings.HasPrefix(a.Text, prefix) {
			return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("%s takes a file, not %q: Go's crypto/tls has no engines", n.Name, prefix)}
		}
	}
	f := file{path: a.Text, pos: a.Pos}
	switch {
	case a.Text == automatic, a.Text == automatic+"_key":
		// A Source has the certificates. The configuration does not need their content.
	case strings.Contains(a.Text, "$"):
		f.template = proxy.ParseTemplate(s.Load(), a.Pos, a.Text)
	case !strings.HasPrefix(a.Text, inline):
		f.path = s.Load().ConfPath(a.Text)
	}
	l.Add(s, f)
	return nil
}

// hasVariables reports whether the files of c's certificates are known only in a handshake.
func hasVariables(c *settings) bool {
	variable := func(f file) bool { return f.template != nil }
	return slices.ContainsFunc(c.certs.Items(), variable) || slices.ContainsFunc(c.keys.Items(), variable)
}

// handshakes loads the certificates of one server whose names have variables.
type handshakes struct {
	generation *proxy.Generation
	server     *proxy.Server
	dir        string // the folder of relative names
	certs      []file
	keys       []file
	passwords  []string
	staple     []byte
}

var errNoHost = errors.New("which is not a host name")

// perHandshake returns a function for tls.Options.Load. It reads the passwords at once, while
// this process may read them.
func (ld *loader) perHandshake(sv *proxy.Server, c *settings) func(*stdtls.ClientHelloInfo) ([]*stdtls.Certificate, error) {
	words, err := tls.ReadPasswords(ld.load.Resources.Host, c.passwords.path)
	ld.load.FailWith(c.passwords.pos, err)
	h := &handshakes{ld.generation, sv, ld.load.ConfDir, c.certs.Items(), c.keys.Items(), words, c.stapling.response(ld.load)}
	return h.load
}

// load reads the files. It logs mistakes in them, since the client only gets an alert. It does
// not log a missing file: the client has chosen the name.
func (h *handshakes) load(hello *stdtls.ClientHelloInfo) ([]*stdtls.Certificate, error) {
	certs, err := h.read(hello)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoHost) {
		h.generation.LogTo(proxy.LevelError, fmt.Sprintf("%s while SSL handshaking, client: %s, server: %s", err, hello.Conn.RemoteAddr(), h.server.Name))
	}
	return certs, err
}

func (h *handshakes) read(hello *stdtls.ClientHelloInfo) (certs []*stdtls.Certificate, err error) {
	// A variable may need a request, and there is none yet.
	defer func() {
		if v := recover(); v != nil {
			certs, err = nil, fmt.Errorf("cannot find the name of a certificate: %v", v)
		}
	}()
	if hello.ServerName != "" && !tls.IsHostName(hello.ServerName) {
		return nil, fmt.Errorf("client asked for %q, %w", hello.ServerName, errNoHost)
	}
	x := proxy.NewExchange(connOf(hello), nil)
	x.Server, x.Generation = h.server, h.generation
	defer x.Release()
	for i, f := range h.certs {
		c, err := tls.LoadPair(config.OS(), h.name(x, f), h.name(x, h.keys[i]), h.passwords...)
		if err != nil {
			return nil, err
		}
		c.OCSPStaple = h.staple
		certs = append(certs, c)
	}
	return certs, nil
}

// name returns the file's name for a handshake.
func (h *handshakes) name(x *proxy.Exchange, f file) string {
	if f.template == nil {
		return f.path
	}
	name := f.template.String(x)
	if filepath.IsAbs(name) || strings.HasPrefix(name, inline) {
		return name
	}
	return filepath.Join(h.dir, name)
}

// connOf returns a Conn for variables, with what is known during a handshake.
func connOf(hello *stdtls.ClientHelloInfo) *proxy.Conn {
	c := &proxy.Conn{TLS: &stdtls.ConnectionState{ServerName: hello.ServerName}}
	if a, ok := hello.Conn.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		c.RemoteAddr, c.RemotePort = ap.Addr().Unmap().String(), strconv.Itoa(int(ap.Port()))
	}
	if a, ok := hello.Conn.LocalAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		c.LocalAddr, c.LocalPort = ap.Addr().Unmap().String(), strconv.Itoa(int(ap.Port()))
	}
	return c
}
