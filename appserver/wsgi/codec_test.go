package wsgi

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"alicorn/appserver/gateway"
	"alicorn/appserver/wire"
	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy"
)

// interpreters returns every CPython from 3.8 on that is found here.
func interpreters(t *testing.T) []string {
	home, _ := os.UserHomeDir()
	found, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions/3.*/bin/python"))
	found = append(found, "/usr/bin/python3")
	var all []string
	for _, p := range found {
		if exec.Command(p, "-c", "import sys; sys.exit(sys.version_info < (3, 8))").Run() == nil {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		t.Fatal("no Python 3.8 or newer is here")
	}
	return all
}

// TestEveryInterpreterReadsEnvironsAndWritesHeads sends an environ to each and reads
// what each makes of a response's head.
func TestEveryInterpreterReadsEnvironsAndWritesHeads(t *testing.T) {
	x := proxy.NewExchange(&proxy.Conn{RemoteAddr: "::1", RemotePort: "1", LocalAddr: "::1", LocalPort: "80"}, nil)
	x.Location = &proxy.Location{Core: &proxy.Core{}}
	r := &x.Req
	r.Method, r.Target, r.Proto, r.Scheme, r.Path = "GET", "/x", "HTTP/1.1", "https", "/caf\xc3\xa9"
	r.Asked = r.Path
	long := strings.Repeat("v", 300)
	r.Header.Add("X-Long", long)
	r.Header.Add("X-Latin", "\xe9\xff")
	r.Header.Add("X-"+strings.Repeat("n", 300), "1")
	var environ wire.Environ
	Environ(&environ, gateway.Request{Exchange: x, Way: gateway.Way{Scheme: r.Scheme}, Length: 7})
	data, err := environ.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`
import marshal, sys
sys.path.insert(0, "../python")
from alicorn.shapes import Shapes
data = bytes.fromhex(%q)
shapes = Shapes({"wsgi.version": (1, 0)})
e = shapes.environ(data)
assert e.pop("wsgi.version") == (1, 0) and len(shapes) == 1, shapes
assert e["REQUEST_METHOD"] == "GET" and e["REMOTE_ADDR"] == "::1" and e["wsgi.url_scheme"] == "https", e
assert e["PATH_INFO"] == "/caf\xc3\xa9", e
assert e["HTTP_X_LONG"] == "v" * 300 and e["HTTP_X_LATIN"] == "\xe9\xff", e
assert e["HTTP_X_" + "N" * 300] == "1" and e["CONTENT_LENGTH"] == "7" and e["HTTPS"] == "on", e
assert all(type(k) is str and type(v) is str for k, v in e.items())
print(marshal.dumps(("200 OK", [("X-Latin", "\xe9\xff"), ("Content-Length", "5")], 1 << 40), 2).hex())
print(marshal.dumps({"a": [1, -2, 1 << 40, None, True, False, b"b", ("t",)]}, 2).hex())
`, hex.EncodeToString(data))
	for _, python := range interpreters(t) {
		out, err := exec.Command(python, "-c", script).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", python, err, out)
			continue
		}
		lines := strings.Fields(string(out))
		encoded, _ := hex.DecodeString(lines[0])
		h, err := gateway.ParseHead(string(encoded))
		if err != nil || h.Status != 200 || h.Length != 5 || h.File != 1<<40 || h.Fields[0].Value != "\xe9\xff" {
			t.Errorf("%s: head %+v, %v; want Status 200, Length 5, File 1<<40 and Value %q", python, h, err, "\xe9\xff")
		}
		encoded, _ = hex.DecodeString(lines[1])
		v, err := wire.Decode(encoded)
		want := map[string]any{"a": []any{int64(1), int64(-2), int64(1 << 40), nil, true, false, []byte("b"), []any{"t"}}}
		if err != nil || !reflect.DeepEqual(v, want) {
			t.Errorf("%s: %v, %v; want %v", python, v, err, want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(append(wire.AppendHeader(nil, wire.KindHead, wire.FlagEnd, 1), wiretest.Head("200 OK", "Content-Length", "3")...))
	f.Add(wire.AppendHeader(nil, wire.KindData, 0, 7))
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := wire.ParseFrame(data)
		if err != nil || fr.Kind != wire.KindHead {
			return
		}
		h, err := gateway.ParseHead(string(fr.Sized))
		if err != nil {
			return
		}
		for _, field := range h.Fields {
			if strings.ContainsAny(field.Name+field.Value, "\r\n\x00") {
				t.Errorf("field %q: %q; want no line end or NUL", field.Name, field.Value)
			}
		}
	})
}
