package proxy_test

import (
	"strings"
	"testing"
)

func TestVariablesOfNginxThatAreNotHereAreNamedAsThat(t *testing.T) {
	for name, want := range map[string]string{
		"upstream_queue_time":   "nginx's $upstream_queue_time is not here yet; $upstream_connect_time is the time until a worker had time for the request",
		"Upstream_Cache_Status": "nginx's $upstream_cache_status is not here yet",
		"upstream_trailer_x":    "nginx's $upstream_trailer_x is not here yet; $upstream_http_NAME is a field of a server's answer",
		"http2":                 "nginx's $http2 is not here yet; $server_protocol is the protocol",
		"gzip_ratio":            "nginx's $gzip_ratio is not here yet",
		"upstream_trailer_":     `unknown variable "$upstream_trailer_"`,
		"urii":                  `unknown variable "$urii"; did you mean "$uri"?`,
	} {
		err := mistakes(t, "server { say $"+name+"; }")
		if err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("$%s: %v, want %q", name, err, want)
		}
	}
}
