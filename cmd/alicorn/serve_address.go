package main

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// listenAddress turns gunicorn's HOST:PORT, HOST, :PORT, PORT, "" and unix:PATH into
// an address for listen. A host may be in a form of inet_aton's: 0 is 0.0.0.0.
func listenAddress(bind string) (string, error) {
	bind = strings.TrimSpace(bind)
	if path, ok := strings.CutPrefix(bind, "unix:"); ok {
		abs, err := filepath.Abs(strings.TrimPrefix(path, "//"))
		return "unix:" + abs, err
	}
	bind = strings.TrimPrefix(strings.TrimPrefix(bind, "tcp://"), "http://")
	if _, err := config.ParseInt(bind, 0, math.MaxInt); err == nil {
		bind = ":" + bind
	}
	host, port, err := net.SplitHostPort(bind)
	if err != nil {
		host, port = strings.Trim(bind, "[]"), "8000"
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if port == "" {
		port = "8000"
	}
	n, err := config.ParseInt(port, 0, 65535)
	if err != nil {
		return "", fmt.Errorf("invalid port in %q: it takes a number from 0 to 65535", bind)
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

// listenWords returns the words that begin each listen directive, for gunicorn's
// addresses. As with gunicorn a socket of IPv6's wildcard address takes connections
// over IPv4 too, unless another address has the port for IPv4.
func listenWords(binds []string) ([][]string, error) {
	var words [][]string
	for _, bind := range binds {
		address, err := listenAddress(bind)
		if err != nil {
			return nil, err
		}
		words = append(words, []string{address})
	}
	for i, w := range words {
		host, port, _ := net.SplitHostPort(w[0])
		wildcard, err := netip.ParseAddr(host)
		taken := slices.ContainsFunc(words, func(other []string) bool {
			h, p, _ := net.SplitHostPort(other[0])
			return p == port && !strings.Contains(h, ":")
		})
		if err == nil && wildcard == netip.IPv6Unspecified() && !taken {
			words[i] = append(w, "ipv6only=off")
		}
	}
	return words, nil
}

// addressList splits a list of addresses of gunicorn's settings.
func addressList(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// proxyAllowed returns --proxy-allow-from in the form that listen takes.
func (f *serveFlags) proxyAllowed() (string, error) {
	list := addressList(f.proxyPeers)
	for _, peer := range list {
		if _, err := proxy.ParsePrefix(peer); err != nil && peer != "*" {
			return "", fmt.Errorf("%s: %q is neither an address nor a network", f.label("proxy-allow-from"), peer)
		}
	}
	switch {
	case len(list) == 0:
		return "none", nil
	case slices.Contains(list, "*"):
		return "*", nil
	}
	return strings.Join(list, ","), nil
}

// enter makes the files of settings relative to dir, as in gunicorn, which enters
// --chdir before it opens files.
func (f *serveFlags) enter(dir string) {
	if !f.has("chdir") {
		return
	}
	for _, path := range []*string{&f.accessLog, &f.errorLog, &f.pid, &f.certificate, &f.key, &f.authorities} {
		if *path != "" && *path != "-" && !filepath.IsAbs(*path) && !strings.HasPrefix(*path, "syslog:") {
			*path = filepath.Join(dir, *path)
		}
	}
	for i, bind := range f.binds {
		path, ok := strings.CutPrefix(strings.TrimSpace(bind), "unix:")
		if path = strings.TrimPrefix(path, "//"); ok && !filepath.IsAbs(path) {
			f.binds[i] = "unix:" + filepath.Join(dir, path)
		}
	}
}
