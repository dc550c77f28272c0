package main

import (
	"fmt"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"alicorn/config"
)

// listenAddress turns gunicorn's HOST:PORT, HOST, :PORT, PORT, "" and unix:PATH
// into what listen takes. A host may be one of inet_aton's: 0 is 0.0.0.0.
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
