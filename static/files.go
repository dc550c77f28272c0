package static

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"alicorn/config/osfile"
	"alicorn/proxy"
)

// errNotAllowed is 405 with the field Allow, which RFC 9110 section 15.5.6 requires.
var errNotAllowed = &proxy.Fail{Status: 405, Field: proxy.Field{Name: "Allow", Value: "GET, HEAD"}}

// Serve sends the file that the path maps to. As in nginx, the answer to a POST is 405 if
// there is a file, otherwise 404.
func (st *site) Serve(x *proxy.Exchange) error {
	switch x.Req.Method {
	case "GET", "HEAD", "POST":
	default:
		return errNotAllowed
	}
	lk := st.newLookup(x)
	defer lk.finish()
	path := x.Req.Path
	var ok bool
	if lk.name, ok = st.appendName(x, lk.name, path); !ok {
		return st.outside(x, lk)
	}
	if strings.HasSuffix(path, "/") {
		return st.serveDirectory(x, lk)
	}
	enc, varies, err := st.openBest(x, lk)
	if err != nil {
		return st.refuse(x, st.openCall(), string(lk.name), err)
	}
	switch {
	case lk.file.isDir():
		return x.RedirectPath(301, path+"/")
	case !lk.file.isRegular():
		return st.irregular(lk)
	case x.Req.Method == "POST":
		return errNotAllowed
	}
	return st.answer(x, lk, enc, varies)
}

// openCall returns the name of the system call that opens files, for the log.
func (st *site) openCall() string {
	if st.links.kind != linksFollowed {
		return "openat()"
	}
	return "open()"
}

func (st *site) outside(x *proxy.Exchange, lk *lookup) error {
	return st.notFound(x, fmt.Sprintf("%q leads out of the alias or root %q", x.Req.Path, st.rootText(x)))
}

func (st *site) irregular(lk *lookup) error {
	return &proxy.Fail{Status: 404, Level: proxy.LevelCrit, Reason: fmt.Sprintf("%q is not a regular file", lk.name)}
}

// answer responds with the open, regular file of lk. varies says that other clients may get
// another variant.
func (st *site) answer(x *proxy.Exchange, lk *lookup, enc encoding, varies bool) error {
	r, size, v := &x.Res, lk.file.size, st.validators(&lk.file)
	etag := ""
	if st.etag {
		etag = v.etag
	}
	x.TakeOK()
	status, given := 0, x.GivenStatus()
	if given == 0 {
		status = st.precondition(&x.Req, v, etag)
	}
	if status == 412 {
		return proxy.Status(412)
	}
	if varies {
		r.Header.AddID(proxy.FieldVary, "Vary", "Accept-Encoding")
	}
	if given == 0 {
		r.Header.AddID(proxy.FieldLastModified, "Last-Modified", v.lastModified)
	}
	if st.etag {
		r.Header.AddID(proxy.FieldETag, "ETag", etag)
	}
	if status == 304 {
		r.Status, r.Length = 304, -1
		return sendHead(r)
	}
	if enc.name != "" {
		r.Header.AddID(proxy.FieldContentEncoding, "Content-Encoding", enc.name)
	}
	if r.ContentType == "" { // an application that redirects x here may have set it
		r.ContentType = x.Core().TypeOf(x.Req.Path)
	}
	if st.maxRanges != 0 && given == 0 {
		if value, ok := x.Req.Header.Lookup(proxy.FieldRange); ok && rangeApplies(&x.Req, v, etag) {
			if done, err := st.sendRanges(x, lk, value); done {
				return err
			}
		}
		r.Header.AddID(proxy.FieldAcceptRanges, "Accept-Ranges", "bytes") // not with 206, which implies it, as in nginx
	}
	r.Status = 200
	return sendPart(x, lk, 0, size)
}

func (st *site) validators(f *file) *validators {
	if f.snap != nil {
		return f.snap.v
	}
	return st.table.of(f.modified, f.size)
}

func sendHead(r *proxy.Response) error {
	if err := r.Send(); err != nil {
		return err
	}
	return r.Finish()
}

// sendPart sends the head, and then n bytes of the file from off.
func sendPart(x *proxy.Exchange, lk *lookup, off, n int64) error {
	r := &x.Res
	r.Length = n
	if err := r.Send(); err != nil {
		return err
	}
	if room, _ := r.Room(); room < n {
		lk.lent = true
		return (&limited{lk, off, n}).Continue(x)
	}
	if err := lk.send(r, off, n); err != nil {
		return err
	}
	return r.Finish()
}

// limited is the Continuation that sends a file no faster than limit_rate allows. It releases
// the lookup, in place of Serve.
type limited struct {
	lk   *lookup
	off  int64
	left int64
}

// Continue sends the bytes that may be sent now, and suspends x until more may.
func (l *limited) Continue(x *proxy.Exchange) error {
	for l.left > 0 {
		room, wait := x.Res.Room()
		if c := x.Client(); c != nil && c.Lost() {
			return l.end(proxy.ErrClientGone)
		}
		if room == 0 {
			if err := x.Res.Later(wait); err != nil {
				return l.end(err)
			}
			return x.Suspend(l)
		}
		n := min(room, l.left)
		if err := l.lk.send(&x.Res, l.off, n); err != nil {
			return l.end(err)
		}
		l.off, l.left = l.off+n, l.left-n
	}
	return l.end(x.Res.Finish())
}

// end releases the lookup.
func (l *limited) end(err error) error {
	l.lk.release()
	return err
}

// serveDirectory answers for a path that ends in a slash. lk.name is the folder. The answer is
// an index file, a list, or 403.
func (st *site) serveDirectory(x *proxy.Exchange, lk *lookup) error {
	if len(lk.name) == 0 || lk.name[len(lk.name)-1] != '/' {
		lk.name = append(lk.name, '/')
	}
	end := len(lk.name)
	missing, away := "", "" // an absolute index behind others is used only if the folder exists
	for _, t := range st.indexes {
		lk.name = t.Append(x, lk.name[:end])
		index := lk.name[end:]
		if len(index) > 0 && index[0] == '/' {
			if away = string(index); missing != "" {
				break
			}
			return &proxy.Redirect{URI: away, Args: x.Req.Args}
		}
		if climbs(index) {
			return st.outside(x, lk)
		}
		_, err := st.test(lk)
		switch {
		case err == nil:
			return &proxy.Redirect{URI: x.Req.Path + string(index), Args: x.Req.Args}
		case !errors.Is(err, syscall.ENOENT):
			return st.refuse(x, "stat()", string(lk.name), err)
		case missing == "":
			missing = string(lk.name)
		}
	}
	lk.name = lk.name[:end]
	dir, err := st.test(lk)
	switch {
	case errors.Is(err, syscall.ENOENT) && missing != "":
		return st.notFound(x, fmt.Sprintf("%q is not found (%s)", missing, proxy.SystemText(err)), missing)
	case err != nil:
		return st.refuse(x, "stat()", string(lk.name), err)
	case !dir:
		return st.refuse(x, "stat()", string(lk.name), syscall.ENOTDIR)
	case away != "":
		return &proxy.Redirect{URI: away, Args: x.Req.Args}
	case st.autoindex && x.Req.Method != "POST":
		return st.list(x, string(lk.name))
	}
	return &proxy.Fail{Status: 403, Level: proxy.LevelError, Reason: fmt.Sprintf("directory index of %q is forbidden", lk.name)}
}

// refuse returns a status for the error of a system call on name. Its reason says which part
// of the path is the cause.
func (st *site) refuse(x *proxy.Exchange, call, name string, err error) error {
	reason := fmt.Sprintf("%s %q failed (%s)", call, name, proxy.SystemText(err))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		return st.notFound(x, reason, name)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ELOOP):
		if x.Logs(proxy.LevelError) {
			reason += osfile.Refusal(name, osfile.ToRead)
		}
		return &proxy.Fail{Status: 403, Level: proxy.LevelError, Reason: reason}
	case errors.Is(err, syscall.ENXIO): // a socket
		return &proxy.Fail{Status: 404, Level: proxy.LevelCrit, Reason: fmt.Sprintf("%q is not a regular file", name)}
	}
	return &proxy.Fail{Status: 500, Level: proxy.LevelCrit, Reason: reason}
}

// notFound returns 404 with a reason, which is logged; with log_not_found off without one.
func (st *site) notFound(x *proxy.Exchange, reason string, name ...string) error {
	if !x.Core().LogNotFound {
		return proxy.Status(404)
	}
	if len(name) > 0 && x.Logs(proxy.LevelError) {
		reason += osfile.Refusal(name[0], osfile.ToRead)
	}
	return &proxy.Fail{Status: 404, Level: proxy.LevelError, Reason: reason}
}
