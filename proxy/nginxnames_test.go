package proxy_test

import (
	"testing"

	"alicorn/proxy"
)

func TestANameNearADirectiveOfNginxIsTakenForIt(t *testing.T) {
	checkWords(t, proxy.NginxDirectiveNear, map[string]string{
		"grpc_pas":    `did you mean "grpc_pass"? nginx's grpc_pass is not here yet; for Python applications use app_pass`,
		"sub_filterr": `did you mean "sub_filter"? nginx's sub_filter is not here yet`,
		"xyz":         "",
	})
}

func TestDirectivesOfNginxAreKnown(t *testing.T) {
	checkWords(t, proxy.NginxDirective, map[string]string{
		"grpc_set_header": "nginx's grpc_set_header is not here yet; for Python applications use app_pass",
		"grpc_pass":       "nginx's grpc_pass is not here yet; for Python applications use app_pass",
		"fastcgi_cache":   "nginx's fastcgi_cache is not here yet",
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

// checkWords compares the message for each name.
func checkWords(t *testing.T, say func(name string) string, want map[string]string) {
	t.Helper()
	for name, want := range want {
		if got := say(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
