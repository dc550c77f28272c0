package static_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/header"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/static"
)

// changed is when every file of a test was changed last.
var changed = time.Date(2024, 5, 17, 10, 20, 30, 0, time.UTC)

const changedText = "Fri, 17 May 2024 10:20:30 GMT"

// folder makes a folder with these files ("name": content), their folders,
// and "outside.txt" beside it. A name that ends in a slash is a folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	top := t.TempDir()
	www := filepath.Join(top, "www")
	write := func(name, content string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(www, 0o755); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(top, "outside.txt"), "secret")
	for name, content := range files {
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(filepath.Join(www, name), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(filepath.Join(www, name), content)
	}
	return www
}

func modules() []proxy.Module {
	return []proxy.Module{rewrite.Module(), static.Expires(), header.Module(), static.Module()}
}

// start serves text, in which ROOT is the folder root.
func start(t testing.TB, root, text string) *proxytest.Server { return startWith(t, root, text) }

// startWith is start with more modules.
func startWith(t testing.TB, root, text string, more ...proxy.Module) *proxytest.Server {
	t.Helper()
	return proxytest.New(t, proxytest.Config{Text: strings.ReplaceAll(text, "ROOT", root), Modules: append(more, modules()...), Serve: http1.Serve})
}
