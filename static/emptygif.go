package static

import (
	"alicorn/config"
	"alicorn/proxy"
)

// emptyGIF is a picture of one transparent pixel, the same as nginx's.
const emptyGIF = "GIF89a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x01\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02L\x01\x00;"

// emptyGIFTime is the picture's Last-Modified, in seconds since 1970, the same as nginx's.
const emptyGIFTime = 23349600

func (m module) emptyGIF() config.Directive {
	return config.Directive{Name: "empty_gif", In: config.Location, Args: config.NoArgs,
		Help: "Answers with a picture of one transparent pixel, of 43 bytes, with a Last-Modified in 1970. It serves to count page views in the access log.",
		Set:  func(s *config.Scope, _ *config.Node) error { m.k.In(s).gif = true; return nil }}
}

// serveGIF is the content of a location with empty_gif.
func (st *site) serveGIF(x *proxy.Exchange) error {
	if m := x.Req.Method; m != "GET" && m != "HEAD" {
		return errNotAllowed
	}
	v, r := st.table.of(emptyGIFTime, int64(len(emptyGIF))), &x.Res
	x.TakeOK()
	if x.GivenStatus() == 0 {
		switch st.precondition(&x.Req, v, "") {
		case 412:
			return proxy.Status(412)
		case 304:
			r.Header.AddID(proxy.FieldLastModified, "Last-Modified", v.lastModified)
			r.Status, r.Length = 304, -1
			return sendHead(r)
		}
		r.Header.AddID(proxy.FieldLastModified, "Last-Modified", v.lastModified)
	}
	return r.Reply(200, "image/gif", []byte(emptyGIF))
}
