package static

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"alicorn/proxy"
)

type listFormat uint8

const (
	listHTML listFormat = iota
	listJSON
)

// maxEntries bounds a list; larger folders are refused rather than read whole.
const maxEntries = 100_000

// list answers with the folder's entries: folders first, by name; names that
// begin with a dot are left out, as in nginx.
func (st *site) list(x *proxy.Exchange, dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return st.refuse(x, dir, err)
	}
	defer f.Close()
	entries, err := f.ReadDir(maxEntries)
	if err != nil && len(entries) > 0 {
		return st.refuse(x, dir, err)
	}
	var infos []os.FileInfo
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(dir + e.Name())
		if err != nil {
			continue // a dangling link, or gone meanwhile
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b os.FileInfo) int {
		if a.IsDir() != b.IsDir() {
			if a.IsDir() {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name(), b.Name())
	})
	if st.format == listJSON {
		return x.Res.Reply(200, "application/json", st.listJSON(infos))
	}
	return x.Res.Reply(200, "text/html", st.listHTML(x.Req.Path, infos))
}

func (st *site) listHTML(path string, infos []os.FileInfo) []byte {
	title := html.EscapeString(path)
	b := fmt.Appendf(nil, "<html>\r\n<head><title>Index of %s</title></head>\r\n<body>\r\n<h1>Index of %s</h1><hr><pre><a href=\"../\">../</a>\r\n", title, title)
	for _, info := range infos {
		name := info.Name()
		if info.IsDir() {
			name += "/"
		}
		shown, pad := shorten(name)
		b = append(b, "<a href=\""...)
		b = append(b, html.EscapeString(string(escapeName(name)))...)
		b = fmt.Appendf(b, "\">%s</a>%s %s %s\r\n", html.EscapeString(shown), pad, st.when(info.ModTime()), st.size(info))
	}
	return append(b, "</pre><hr></body>\r\n</html>\r\n"...)
}

// escapeName makes a name a relative reference: one with a colon would be
// taken for a scheme.
func escapeName(name string) []byte {
	b := proxy.EscapePath(nil, name)
	if i := strings.IndexByte(name, ':'); i >= 0 {
		return append([]byte("./"), b...)
	}
	return b
}

const nameWidth = 50

func shorten(name string) (shown, pad string) {
	n := utf8.RuneCountInString(name)
	if n <= nameWidth {
		return name, strings.Repeat(" ", nameWidth-n)
	}
	return string([]rune(name)[:nameWidth-3]) + "..>", ""
}

func (st *site) when(t time.Time) string {
	if st.localTime {
		return t.Local().Format("02-Jan-2006 15:04")
	}
	return t.UTC().Format("02-Jan-2006 15:04")
}

func (st *site) size(info os.FileInfo) string {
	switch n := info.Size(); {
	case info.IsDir():
		return fmt.Sprintf("%19s", "-")
	case st.exactSize:
		return fmt.Sprintf("%19d", n)
	case n >= 1<<30:
		return fmt.Sprintf("%6dG", (n+1<<29)>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%6dM", (n+1<<19)>>20)
	case n >= 10_000:
		return fmt.Sprintf("%6dK", (n+1<<9)>>10)
	default:
		return fmt.Sprintf("%6d ", n)
	}
}

func (st *site) listJSON(infos []os.FileInfo) []byte {
	b := []byte("[\r\n")
	for i, info := range infos {
		name, _ := json.Marshal(info.Name())
		kind := "file"
		if info.IsDir() {
			kind = "directory"
		} else if !info.Mode().IsRegular() {
			kind = "other"
		}
		b = fmt.Appendf(b, "{ \"name\":%s, \"type\":%q, \"mtime\":%q", name, kind, info.ModTime().UTC().Format(httpDate))
		if kind == "file" {
			b = fmt.Appendf(b, ", \"size\":%d", info.Size())
		}
		b = append(b, " }"...)
		if i < len(infos)-1 {
			b = append(b, ',')
		}
		b = append(b, "\r\n"...)
	}
	return append(b, ']')
}
