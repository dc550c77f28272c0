package static

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"

	"alicorn/proxy"
)

// sendRanges answers a request with a Range field. done is false if the field is ignored.
func (st *site) sendRanges(x *proxy.Exchange, lk *lookup, value string) (done bool, err error) {
	size := lk.file.size
	spans, result := proxy.ParseRanges(value, size, st.maxRanges)
	r := &x.Res
	switch {
	case result == proxy.RangeIgnored:
		return false, nil
	case result == proxy.RangeUnsatisfiable:
		return true, &proxy.Fail{Status: 416, Field: proxy.Field{Name: "Content-Range", Value: "bytes */" + strconv.FormatInt(size, 10)}}
	case len(spans) == 1:
		s := spans[0]
		r.Status = 206
		r.Header.Add("Content-Range", s.ContentRange(size))
		return true, sendPart(x, lk, s.Start, s.End-s.Start)
	}
	if len(spans) <= spansInTurn {
		return true, sendMultipart(r, lk, spans)
	}
	x.Offload(func() { err = sendMultipart(r, lk, spans) })
	return true, err
}

// spansInTurn is the number of ranges up to which a request is answered in its turn of the loop.
// Each is read on its own: the 900 that a head of 8 KB has room for delay others by 2 ms.
const spansInTurn = 32

// sendMultipart sends several ranges as multipart/byteranges, RFC 9110 section 14.6, in
// nginx's layout. As in nginx, header filters see the type of the file, and what they make
// of it is the type of each part.
func sendMultipart(r *proxy.Response, lk *lookup, spans []proxy.Span) error {
	var seed [8]byte
	rand.Read(seed[:])
	boundary := fmt.Sprintf("%020d", binary.BigEndian.Uint64(seed[:]))
	heads := make([]string, len(spans))
	end := "\r\n--" + boundary + "--\r\n"
	r.FilterLast(func(*proxy.Exchange) error {
		head := "\r\n--" + boundary + "\r\n"
		if r.ContentType != "" {
			head += "Content-Type: " + string(r.AppendType(nil)) + "\r\n"
		}
		r.Length = int64(len(end))
		for i, s := range spans {
			heads[i] = head + "Content-Range: " + s.ContentRange(lk.file.size) + "\r\n\r\n"
			r.Length += int64(len(heads[i])) + s.End - s.Start
		}
		r.ContentType, r.Charset = "multipart/byteranges; boundary="+boundary, ""
		return nil
	})
	r.Status, r.Length = 206, lk.file.size
	if err := r.Send(); err != nil {
		return err
	}
	for i, s := range spans {
		if _, err := r.Write([]byte(heads[i])); err != nil {
			return err
		}
		if err := lk.send(r, s.Start, s.End-s.Start); err != nil {
			return err
		}
	}
	if _, err := r.Write([]byte(end)); err != nil {
		return err
	}
	return r.Finish()
}
