package static

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"alicorn/proxy"
)

// Serve gives the file that the path maps to.
func (st *site) Serve(x *proxy.Exchange) error {
	if m := x.Req.Method; m != "GET" && m != "HEAD" {
		if !x.Internal || m != "POST" {
			return proxy.Status(405)
		}
	}
	path := x.Req.Path
	if strings.HasSuffix(path, "/") {
		return st.serveDirectory(x, path)
	}
	name, ok := st.filename(x, path)
	if !ok {
		return proxy.Status(404)
	}
	return st.serveFile(x, name)
}

func (st *site) serveFile(x *proxy.Exchange, name string) error {
	f, info, enc, err := st.openBest(x, name)
	if err != nil {
		return st.refuse(x, name, err)
	}
	defer f.Close()
	switch mode := info.Mode(); {
	case mode.IsDir():
		return x.RedirectPath(301, x.Req.Path+"/")
	case !mode.IsRegular():
		return &proxy.Fail{Status: 403, Level: proxy.LevelCrit, Reason: fmt.Sprintf("%q is not a regular file", name)}
	}
	return st.send(x, f, info, name, enc)
}

// send answers with an open regular file.
func (st *site) send(x *proxy.Exchange, f *os.File, info os.FileInfo, name string, enc encoding) error {
	r := &x.Res
	r.Status, r.Length = 200, info.Size()
	r.ContentType = x.Core().TypeOf(x.Req.Path)
	if strings.HasSuffix(x.Req.Path, "/") {
		r.ContentType = x.Core().TypeOf(name)
	}
	if enc.name != "" {
		r.Header.Add("Content-Encoding", enc.name)
	}
	if st.encoded || st.gzip == gzipOn {
		r.Header.Add("Vary", "Accept-Encoding")
	}
	v := validators{modified: info.ModTime().Truncate(time.Second)}
	r.Header.Add("Last-Modified", string(v.modified.UTC().AppendFormat(nil, httpDate)))
	if st.etag {
		v.etag = etagOf(info)
		r.Header.Add("ETag", v.etag)
	}
	switch status := st.precondition(&x.Req, v); status {
	case 304:
		r.Status, r.Length = 304, -1
		return errors.Join(r.Send(), r.Finish())
	case 412:
		r.Header.Reset()
		return proxy.Status(412)
	}
	if st.maxRanges != 0 {
		r.Header.Add("Accept-Ranges", "bytes")
		if value, ok := x.Req.Header.Lookup(proxy.FieldRange); ok && st.rangeApplies(&x.Req, v) {
			if done, err := st.sendRanges(x, f, info.Size(), value); done {
				return err
			}
		}
	}
	return st.sendPart(x, f, 0, info.Size())
}

// sendPart sends the head and n bytes from off.
func (st *site) sendPart(x *proxy.Exchange, f *os.File, off, n int64) error {
	if err := x.Res.Send(); err != nil {
		return err
	}
	if err := x.Res.SendFile(f, off, n); err != nil {
		return err
	}
	return x.Res.Finish()
}

const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// etagOf is nginx's: time and size in hexadecimal.
func etagOf(info os.FileInfo) string {
	b := append(make([]byte, 0, 32), '"')
	b = strconv.AppendInt(b, info.ModTime().Unix(), 16)
	b = strconv.AppendInt(append(b, '-'), info.Size(), 16)
	return string(append(b, '"'))
}

// serveDirectory answers for a path that ends in a slash: an index file, a
// list, or 403.
func (st *site) serveDirectory(x *proxy.Exchange, path string) error {
	dir, ok := st.filename(x, path)
	if !ok {
		return proxy.Status(404)
	}
	for _, t := range st.indexes {
		name := t.String(x)
		if strings.HasPrefix(name, "/") {
			return &proxy.Redirect{URI: name, Args: x.Req.Args}
		}
		info, err := os.Stat(dir + name)
		if err == nil && !info.IsDir() {
			return &proxy.Redirect{URI: path + name, Args: x.Req.Args}
		}
		if err != nil && errors.Is(err, fs.ErrPermission) {
			return st.refuse(x, dir+name, err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return st.refuse(x, dir, err)
	}
	if !info.IsDir() {
		return proxy.Status(404)
	}
	if st.autoindex {
		return st.list(x, dir)
	}
	return &proxy.Fail{Status: 403, Level: proxy.LevelError, Reason: fmt.Sprintf("directory index of %q is forbidden", dir)}
}

// refuse turns the error of opening name into a status, with a log line that
// says which part of the path refuses.
func (st *site) refuse(x *proxy.Exchange, name string, err error) error {
	var status proxy.Status
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EINVAL):
		status = 404
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		status = 403
	default:
		return &proxy.Fail{Status: 500, Level: proxy.LevelCrit, Reason: fmt.Sprintf("open() %q failed (%s)", name, words(err))}
	}
	if status == 404 && !x.Core().LogNotFound {
		return status
	}
	reason := fmt.Sprintf("open() %q failed (%s)", name, words(err))
	if why := refusing(name); why != "" {
		reason += ": " + why
	}
	return &proxy.Fail{Status: status, Level: proxy.LevelError, Reason: reason}
}

// words are the system's number and words, as nginx logs them.
func words(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text := errno.Error()
		return strconv.Itoa(int(errno)) + ": " + strings.ToUpper(text[:1]) + text[1:]
	}
	return err.Error()
}
