package proxypass

import (
	"bytes"
	"strings"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// keepTrailer has the fields behind the answer's body kept, if the client is to get them.
func (p *pass) keepTrailer() {
	if p.h.passTrailers {
		p.trailer = p.trailer[:0]
		p.raw.Body.KeepTrailer(&p.trailer)
	}
}

// passTrailer gives the response the fields that have come behind the answer's body, but for
// those that do not belong there (RFC 9110 section 6.5.1), and those that are hidden.
func (p *pass) passTrailer(x *proxy.Exchange) {
	if len(p.trailer) == 0 {
		return
	}
	for line := range bytes.SplitSeq(p.trailer, []byte("\r\n")) {
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		id := proxy.FieldIDOf(name)
		switch id {
		case proxy.FieldContentLength, proxy.FieldContentType, proxy.FieldHost, proxy.FieldSetCookie, proxy.FieldLocation:
			continue
		}
		if !upstream.IsHopByHop(id, name) && !p.h.hidden.has(id, name) && !upstream.IsAccel(name) {
			x.Res.Trailer.AddID(id, name, strings.Trim(value, " \t"))
		}
	}
}

// respondWithTrailer gives a whole answer without its length, as fields come behind it.
func (p *pass) respondWithTrailer(x *proxy.Exchange) error {
	p.head.Apply(x, -1)
	if err := x.Res.Send(); err != nil {
		return err
	}
	if _, err := x.Res.Write(p.data); err != nil {
		return err
	}
	p.passTrailer(x)
	if err := x.Res.Finish(); err != nil {
		return err
	}
	return errDone
}
