package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asgiScopesConfiguration has an application with and without root_path, by TCP, TLS and
// a unix socket.
const asgiScopesConfiguration = `error_log stderr warn;
app plain {
    asgi scopes:app;
    directory %[1]s;
    python /usr/bin/python3;
    workers 1;
}
app rooted {
    asgi scopes:app;
    directory %[1]s;
    python /usr/bin/python3;
    workers 1;
    root_path /api;
}
server {
    server_name scopes.test;
    listen %[2]s;
    listen %[3]s ssl;
    listen unix:%[4]s;
    ssl_certificate %[5]s/own.crt;
    ssl_certificate_key %[5]s/own.key;
    location / { app_pass plain; }
    location /api/ { app_pass rooted; }
    location /cut/ { app_pass rooted; }
}
`

// scopesTold is what testdata/asgi/scopes tells of a scope.
type scopesTold struct {
	Type        string
	HTTPVersion string `json:"http_version"`
	Scheme      string
	Client      []any
	Server      []any
	RootPath    string `json:"root_path"`
	Path        string
	RawPath     string `json:"raw_path"`
	TLSVersion  int    `json:"tls_version"`
}

// TestASGIScopes checks what scopes say of the connection and of root_path. raw_path is
// what the client sent, without root_path where the client did not send it.
func TestASGIScopes(t *testing.T) {
	t.Parallel()
	dir, own := asgiDirectory(t, "scopes"), t.TempDir()
	plain, secure, socket := freeAddress(t), freeAddress(t), filepath.Join(own, "s")
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=scopes.test", "-addext", "subjectAltName=DNS:scopes.test",
		"-days", "2", "-keyout", filepath.Join(own, "own.key"), "-out", filepath.Join(own, "own.crt")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := startConfigured(t, own, plain, fmt.Sprintf(asgiScopesConfiguration, dir, plain, secure, socket, own))
	_, port, err := net.SplitHostPort(plain)
	if err != nil {
		t.Fatal(err)
	}
	_, securePort, err := net.SplitHostPort(secure)
	if err != nil {
		t.Fatal(err)
	}
	trust := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
	tests := []struct {
		name, network, address string
		tls                    *tls.Config
		path                   string
		socket                 bool
		want                   string
	}{
		{"TCP", "tcp", plain, nil, "/a%20b", false,
			`{http 1.1 http [127.0.0.1] [scopes.test ` + port + `]  /a b /a%20b 0}`},
		{"TLS", "tcp", secure, trust, "/", false,
			`{http 1.1 https [127.0.0.1] [scopes.test ` + securePort + `]  / / 772}`},
		{"a unix socket", "unix", socket, nil, "/", false,
			`{http 1.1 http [] [` + socket + ` <nil>]  / / 0}`},
		{"WebSocket", "tcp", plain, nil, "/", true,
			`{websocket 1.1 ws [127.0.0.1] [scopes.test ` + port + `]  / / 0}`},
		{"WebSocket by TLS", "tcp", secure, trust, "/", true,
			`{websocket 1.1 wss [127.0.0.1] [scopes.test ` + securePort + `]  / / 772}`},
		{"WebSocket by a unix socket", "unix", socket, nil, "/", true,
			`{websocket 1.1 ws [] [` + socket + ` <nil>]  / / 0}`},
		{"root_path in the path", "tcp", plain, nil, "/api/x%2Fy", false,
			`{http 1.1 http [127.0.0.1] [scopes.test ` + port + `] /api /api/x/y /api/x%2Fy 0}`},
		{"root_path before the path", "tcp", plain, nil, "/cut/x", false,
			`{http 1.1 http [127.0.0.1] [scopes.test ` + port + `] /api /api/cut/x /cut/x 0}`},
		{"root_path of a WebSocket", "tcp", plain, nil, "/cut/x", true,
			`{websocket 1.1 ws [127.0.0.1] [scopes.test ` + port + `] /api /api/cut/x /cut/x 0}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial(test.network, test.address)
			if err != nil {
				t.Fatal(err)
			}
			if test.tls != nil {
				conn = tls.Client(conn, test.tls)
			}
			defer conn.Close()
			if got := told(t, conn, test.path, test.socket); got != test.want {
				t.Errorf("the scope is\n%s, want\n%s", got, test.want)
			}
		})
	}
	s.stop(t)
}

// told asks for a path, and returns what the scope says. The client's port is left out.
func told(t *testing.T, conn net.Conn, path string, socket bool) string {
	t.Helper()
	conn.SetDeadline(time.Now().Add(asgiPatience))
	c := &asgiClient{conn: conn, reader: bufio.NewReader(conn)}
	k := asgiCheck{target: path, fields: []string{"Host: scopes.test"}, want: "*"}
	if socket {
		k.fields, k.status, k.want = append(k.fields, handshakeFields()...), http.StatusSwitchingProtocols, "none"
	}
	c.send(fmt.Sprintf("GET %s HTTP/1.1\r\n%s\r\n\r\n", path, strings.Join(k.fields, "\r\n")))
	text := k.answer(c).body
	if socket {
		text = strings.TrimPrefix(c.frame(), "text ")
	}
	var s scopesTold
	if err := json.Unmarshal([]byte(text), &s); err != nil || len(c.faults) > 0 {
		t.Fatalf("%v: %q, %q; want nothing", err, text, c.faults)
	}
	if len(s.Client) == 2 {
		s.Client = s.Client[:1]
	}
	return fmt.Sprintf("%v", s)
}

// startConfigured starts this module's alicorn with a configuration in dir.
func startConfigured(t *testing.T, dir, address, configuration string) asgiServer {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "alicorn.conf"), []byte(configuration), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := prepareFiles(dir, strings.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ownProgram(t), "run", "-c", filepath.Join(dir, "alicorn.conf"))
	return startASGI(t, dir, address, cmd, []string{reexecEnv + "=1", "RUNTIME_DIRECTORY=" + dir + "/run", "STATE_DIRECTORY=" + dir + "/state", "CACHE_DIRECTORY=" + dir + "/cache"})
}
