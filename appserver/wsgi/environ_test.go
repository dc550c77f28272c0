package wsgi

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"alicorn/appserver/gateway"
	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// environFields returns the keys and values of addFields in their order, as
// "KEY=value" lines.
func environFields(r *proxy.Request, rules gateway.Rules) string {
	var e wire.Environ
	addFields(&e, r, rules)
	return pairsOf(&e)
}

func pairsOf(e *wire.Environ) string {
	var b strings.Builder
	e.Each(func(name, value string) { fmt.Fprintf(&b, "%s=%s\n", name, value) })
	return b.String()
}

// joinedFields is what environFields is to be, by the plainest way.
func joinedFields(lines [][2]string) string {
	var keys []string
	values := map[string]string{}
	for _, l := range lines {
		key, sep := "HTTP_"+strings.ToUpper(strings.ReplaceAll(l[0], "-", "_")), ","
		if key == "HTTP_COOKIE" {
			sep = "; "
		}
		if key == "HTTP_CONTENT_TYPE" {
			if key = "CONTENT_TYPE"; values[key] != "" {
				continue
			}
		}
		if old, ok := values[key]; ok {
			values[key] = old + sep + l[1]
			continue
		}
		keys = append(keys, key)
		values[key] = l[1]
	}
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%s=%s\n", k, values[k])
	}
	return b.String()
}

func TestFieldsOfOneNameAreJoinedWhateverTheirNumber(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 10, 31, 32, 33, 200, 1000} {
		for _, names := range []int{1, 2, 7, 50, 2000} {
			var r proxy.Request
			var lines [][2]string
			for i := range n {
				name := fmt.Sprintf("x-%d", random.IntN(names))
				switch random.IntN(8) {
				case 0:
					name = strings.ToUpper(name)
				case 1:
					name = "Cookie"
				case 2:
					name = "Content-Type"
				}
				lines = append(lines, [2]string{name, fmt.Sprintf("v%d", i)})
				r.Header.Add(name, lines[i][1])
			}
			if got, want := environFields(&r, gateway.Rules{}), joinedFields(lines); got != want {
				t.Errorf("%d lines of %d names: got\n%s\nwant\n%s", n, names, got, want)
			}
		}
	}
}

func TestNamesWithAnUnderscoreAreSeenWhereTheyAreKept(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules gateway.Rules
		lines [][2]string
		want  string
	}{
		{"dropped", gateway.Rules{}, [][2]string{{"api_key", "1"}, {"api-key", "2"}}, "HTTP_API_KEY=2\n"},
		{"kept", gateway.Rules{Underscores: true}, [][2]string{{"api_key", "1"}, {"X-Other", "2"}}, "HTTP_API_KEY=1\nHTTP_X_OTHER=2\n"},
		{"one key", gateway.Rules{Underscores: true}, [][2]string{{"api_key", "1"}, {"API-Key", "2"}, {"User_Agent", "a"}, {"User-Agent", "b"}}, "HTTP_API_KEY=1,2\nHTTP_USER_AGENT=a,b\n"},
		{"of the connection", gateway.Rules{Underscores: true}, [][2]string{{"Content_Length", "5"}, {"Transfer_Encoding", "chunked"}, {"Proxy_Authorization", "x"}, {"Content_Type", "y"}, {"a_b", "c"}}, "HTTP_A_B=c\n"},
	} {
		var r proxy.Request
		for _, l := range c.lines {
			r.Header.Add(l[0], l[1])
		}
		if got := environFields(&r, c.rules); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
