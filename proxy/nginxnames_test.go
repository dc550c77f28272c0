package proxy_test

import (
	"testing"

	"alicorn/proxy"
)

func TestANameNearADirectiveOfNginxIsTakenForIt(t *testing.T) {
	checkWords(t, proxy.NginxDirectiveNear, map[string]string{
		"fastcgi_pas":  `did you mean "fastcgi_pass"? nginx's fastcgi_pass is not here yet; for Python applications use app_pass`,
		"stub_statuss": `did you mean "stub_status"? nginx's stub_status is not here yet; "alicorn status" tells what it tells`,
		"xyz":          "",
	})
}

func TestDirectivesOfNginxAreKnown(t *testing.T) {
	checkWords(t, proxy.NginxDirective, map[string]string{
		"fastcgi_pass":    "nginx's fastcgi_pass is not here yet; for Python applications use app_pass",
		"grpc_set_header": "nginx's grpc_set_header is not here yet; for Python applications use app_pass",
		"uwsgi_param":     "nginx's uwsgi_param is not here yet; for Python applications use app_pass",
		"fastcgi_index":   "nginx's fastcgi_index is not here yet; for Python applications use app_pass",
		"stub_status":     `nginx's stub_status is not here yet; "alicorn status" tells what it tells`,
		"proxy_cache":     "nginx's proxy_cache is not here yet",
		"ssl":             `nginx's ssl is not here yet; "ssl" behind the address of listen is its successor`,
		"sub_filter":      "nginx's sub_filter is not here yet",
		"proxy_pas":       "",
		"scgi_index":      "",
		"proxy":           "",
		"proxy_":          "",
		"app_pass":        "",
		"":                "",
	})
}

func TestFilesOfNginxAreKnown(t *testing.T) {
	checkWords(t, proxy.NginxFile, map[string]string{
		"proxy_params":   "",
		"uwsgi_params":   "nginx's uwsgi_params is for uwsgi_pass, which is not here yet; app_pass needs no such file",
		"fastcgi_params": "nginx's fastcgi_params is for fastcgi_pass, which is not here yet; app_pass needs no such file",
		"mime.types":     "",
		"proxy":          "",
		"":               "",
	})
}

// checkWords compares what is said of each name.
func checkWords(t *testing.T, say func(name string) string, want map[string]string) {
	t.Helper()
	for name, want := range want {
		if got := say(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
