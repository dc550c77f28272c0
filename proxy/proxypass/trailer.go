package proxypass

import (
	"bytes"
	"strings"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// keepTrailer makes p keep the answer's trailer, if the client may get it.
func (p *pass) keepTrailer() {
	if p.h.passTrailers {
		p.trailer = p.trailer[:0]
		p.raw.Body.KeepTrailer(&p.trailer)
	}
}

// passTrailer adds the fields of the answer's trailer to the response's, without those that
// must not be there (RFC 9110 section 6.5.1) and those that are hidden.
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

// respondWithTrailer sends the client a complete answer. It sends no length, because a trailer
// follows.
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
