package proxy_test

import (
	"strings"
	"testing"
)

func TestVariablesOfNginxThatAreNotHereAreNamedAsThat(t *testing.T) {
	for name, want := range map[string]string{
		"Upstream_Cache_Status": "nginx's $upstream_cache_status is not here yet",
		"upstream_trailer_x":    "nginx's $upstream_trailer_x is not here yet; $upstream_http_NAME is a field of a server's answer",
		"quic":                  "nginx's $quic is not here yet",
		"upstream_trailer_":     `unknown variable "$upstream_trailer_"`,
		"urii":                  `unknown variable "$urii"; did you mean "$uri"?`,
	} {
		err := mistakes(t, "server { say $"+name+"; }")
		if err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("$%s: %v, want %q", name, err, want)
		}
	}
}
