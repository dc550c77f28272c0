package appserver

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"alicorn/proxy"
)

// environFields returns the keys and values of appendFields in their order, as
// "KEY=value" lines.
func environFields(t *testing.T, r *proxy.Request) string {
	t.Helper()
	d := decoder{data: appendFields(nil, r)}
	var b strings.Builder
	for i := 0; len(d.data) > 0; i++ {
		kind := d.byte()
		var text []byte
		if kind == typeShortASCII {
			n := int(d.byte())
			text, d.data = d.data[:n], d.data[n:]
		} else {
			var err error
			if text, err = d.bytes(); kind != typeUnicode || err != nil {
				t.Fatalf("field %d is of type %q: %v", i, kind, err)
			}
		}
		b.Write(text)
		b.WriteString([]string{"=", "\n"}[i%2])
	}
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
	for _, n := range []int{0, 1, 2, 10, manyFields - 1, manyFields, manyFields + 1, 200, 1000} {
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
			if got, want := environFields(t, &r), joinedFields(lines); got != want {
				t.Errorf("%d lines of %d names: got\n%s\nwant\n%s", n, names, got, want)
			}
		}
	}
}

// TestEachFieldLineIsLookedAtOnce follows the links from every line that begins
// a chain: the steps are as many as the lines, however their names repeat.
func TestEachFieldLineIsLookedAtOnce(t *testing.T) {
	for _, names := range []int{1, 3, 400, 6400} {
		var h proxy.Header
		const n = 6400
		for i := range n {
			h.Add(fmt.Sprintf("x-%d", i%names), "v")
		}
		chain, steps := chainLines(&h), 0
		for i := range chain {
			for j := i; !chain[i].later; j = nextOf(&h, j, chain) {
				if steps++; steps > n || nextOf(&h, j, chain) == 0 {
					break
				}
			}
		}
		if steps != n {
			t.Errorf("%d names: %d steps for %d lines", names, steps, n)
		}
	}
}
