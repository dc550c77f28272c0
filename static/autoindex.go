package static

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"io"
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

// entry is one line of a list.
type entry struct {
	name string
	info os.FileInfo // of a link's target, if that exists
}

// list answers with the folder's entries, folders first, ordered by name. As in nginx, it
// leaves out names that begin with a dot.
func (st *site) list(x *proxy.Exchange, dir string) error {
	entries, err := readFolder(dir, st.hidden)
	if err != nil {
		return st.refuse(x, "opendir()", dir, err)
	}
	if len(entries) == maxEntries {
		x.Log(proxy.LevelWarn, "the list of %q shows only %d names", dir, maxEntries)
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.info.IsDir() != b.info.IsDir() {
			if a.info.IsDir() {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.name, b.name)
	})
	if st.format == listJSON {
		return x.Res.Reply(200, "application/json", listJSONOf(entries))
	}
	x.Res.Charset = "utf-8" // as names of files are
	return x.Res.Reply(200, "text/html", st.listHTML(x.Req.Path, entries))
}

// maxEntries is the largest number of entries that are read, so that one request cannot take
// all memory.
const maxEntries = 100_000

func readFolder(dir string, h *hidden) ([]entry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := h.judgeFolder(f); err != nil {
		return nil, err
	}
	all, err := f.ReadDir(maxEntries)
	if err != nil && err != io.EOF {
		return nil, err
	}
	entries := make([]entry, 0, len(all))
	for _, e := range all {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(dir + e.Name())
		if err != nil {
			if info, err = e.Info(); err != nil {
				continue // removed meanwhile
			}
		}
		entries = append(entries, entry{e.Name(), info})
	}
	return entries, nil
}

func (st *site) listHTML(path string, entries []entry) []byte {
	title := html.EscapeString(path)
	b := fmt.Appendf(nil, "<html>\r\n<head><title>Index of %s</title></head>\r\n<body>\r\n<h1>Index of %s</h1><hr><pre><a href=\"../\">../</a>\r\n", title, title)
	for _, e := range entries {
		b = append(b, "<a href=\""...)
		b = proxy.EscapeComponent(b, e.name)
		if e.info.IsDir() {
			b = append(b, '/')
		}
		b = append(b, "\">"...)
		b = appendShown(b, e)
		b = append(append(append(b, ' '), st.when(e.info.ModTime())...), ' ')
		b = append(append(b, st.size(e.info)...), '\r', '\n')
	}
	return append(b, "</pre><hr></body>\r\n</html>\r\n"...)
}

// nameWidth is the width of a list's first column, in characters.
const nameWidth = 50

// appendShown appends the name as the list shows it, the end of its link, and the spaces
// that fill the column.
func appendShown(b []byte, e entry) []byte {
	n := utf8.RuneCountInString(e.name)
	if n > nameWidth {
		b = append(b, html.EscapeString(string([]rune(e.name)[:nameWidth-3]))...)
		return append(b, "..&gt;</a>"...)
	}
	b = append(b, html.EscapeString(e.name)...)
	if e.info.IsDir() && n < nameWidth {
		b = append(b, '/')
		n++
	}
	b = append(b, "</a>"...)
	return append(b, strings.Repeat(" ", nameWidth-n)...)
}

func (st *site) when(t time.Time) string {
	if st.localTime {
		return t.Local().Format("02-Jan-2006 15:04")
	}
	return t.UTC().Format("02-Jan-2006 15:04")
}

// size returns the column of the size: 19 characters for exact sizes, otherwise 7.
func (st *site) size(info os.FileInfo) string {
	switch n := info.Size(); {
	case info.IsDir() && st.exactSize:
		return fmt.Sprintf("%19s", "-")
	case info.IsDir():
		return fmt.Sprintf("%7s", "-")
	case st.exactSize:
		return fmt.Sprintf("%19d", n)
	case n >= 1<<30:
		return fmt.Sprintf("%6dG", (n+1<<29)>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%6dM", (n+1<<19)>>20)
	case n >= 10_000:
		return fmt.Sprintf("%6dK", (n+1<<9)>>10)
	default:
		return fmt.Sprintf("%7d", n)
	}
}

func listJSONOf(entries []entry) []byte {
	b := []byte("[")
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\r\n{ \"name\":"...)
		b = appendJSON(b, e.name)
		kind := "other"
		switch mode := e.info.Mode(); {
		case mode.IsDir():
			kind = "directory"
		case mode.IsRegular():
			kind = "file"
		}
		b = fmt.Appendf(b, ", \"type\":%q, \"mtime\":%q", kind, formatDate(e.info.ModTime().Unix()))
		if kind == "file" {
			b = fmt.Appendf(b, ", \"size\":%d", e.info.Size())
		}
		b = append(b, " }"...)
	}
	return append(b, "\r\n]"...)
}

// appendJSON appends name as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendJSON(b []byte, name string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(name) != nil {
		return append(b, `""`...)
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
