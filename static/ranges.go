package static

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"alicorn/proxy"
)

// span is a byte range: from start, up to but not including end.
type span struct{ start, end int64 }

func (s span) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.start, s.end-1, size)
}

// parseRanges reads a Range field for a file of that size, RFC 9110 section
// 14.1.2. ok is false when the field is to be ignored: another unit, bad
// syntax, more than limit ranges, or ranges that are longer in sum than the
// file. No spans with ok mean that none can be satisfied.
func parseRanges(value string, size int64, limit int) (spans []span, ok bool) {
	set, found := strings.CutPrefix(value, "bytes=")
	if !found {
		return nil, false
	}
	n, total := 0, int64(0)
	for spec := range strings.SplitSeq(set, ",") {
		spec = strings.Trim(spec, " \t")
		if spec == "" {
			continue
		}
		if n++; limit >= 0 && n > limit {
			return nil, false
		}
		s, valid := parseSpan(spec, size)
		if !valid {
			return nil, false
		}
		if s.start < s.end {
			spans = append(spans, s)
			total += s.end - s.start
		}
	}
	return spans, n > 0 && total <= size
}

// parseSpan reads one range; one that cannot be satisfied is empty.
func parseSpan(spec string, size int64) (span, bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return span{}, false
	}
	if first == "" {
		n, ok := digits(last)
		return span{max(size-n, 0), size}, ok
	}
	start, ok1 := digits(first)
	if last == "" {
		return span{min(start, size), size}, ok1
	}
	end, ok2 := digits(last)
	if !ok1 || !ok2 || end < start {
		return span{}, false
	}
	return span{min(start, size), min(end, size-1) + 1}, true
}

func digits(s string) (int64, bool) {
	if s == "" || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// sendRanges answers a Range request; done is false when the field is to be
// ignored.
func (st *site) sendRanges(x *proxy.Exchange, f *os.File, size int64, value string) (done bool, err error) {
	spans, ok := parseRanges(value, size, st.maxRanges)
	r := &x.Res
	switch {
	case !ok:
		return false, nil
	case len(spans) == 0:
		r.Header.Reset()
		r.Header.Add("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		return true, unsatisfiable(x)
	case len(spans) == 1:
		s := spans[0]
		r.Status, r.Length = 206, s.end-s.start
		r.Header.Add("Content-Range", s.contentRange(size))
		return true, st.sendPart(x, f, s.start, r.Length)
	}
	return true, sendMultipart(x, f, size, spans)
}

// unsatisfiable answers 416 with the size that the client needs to know.
func unsatisfiable(x *proxy.Exchange) error {
	body := "<html>\r\n<head><title>416 Requested Range Not Satisfiable</title></head>\r\n<body>\r\n<center><h1>416 Requested Range Not Satisfiable</h1></center>\r\n<hr><center>alicorn</center>\r\n</body>\r\n</html>\r\n"
	return x.Res.Reply(416, "text/html", []byte(body))
}

// sendMultipart sends several ranges as multipart/byteranges, RFC 9110
// section 14.6, in nginx's layout.
func sendMultipart(x *proxy.Exchange, f *os.File, size int64, spans []span) error {
	var seed [8]byte
	rand.Read(seed[:])
	boundary := fmt.Sprintf("%020d", binary.BigEndian.Uint64(seed[:]))
	r := &x.Res
	heads := make([]string, len(spans))
	end := "\r\n--" + boundary + "--\r\n"
	length := int64(len(end))
	for i, s := range spans {
		head := "\r\n--" + boundary + "\r\n"
		if r.ContentType != "" {
			head += "Content-Type: " + r.ContentType + "\r\n"
		}
		heads[i] = head + "Content-Range: " + s.contentRange(size) + "\r\n\r\n"
		length += int64(len(heads[i])) + s.end - s.start
	}
	r.Status, r.Length, r.ContentType = 206, length, "multipart/byteranges; boundary="+boundary
	if err := r.Send(); err != nil {
		return err
	}
	for i, s := range spans {
		if _, err := r.Write([]byte(heads[i])); err != nil {
			return err
		}
		if err := r.SendFile(f, s.start, s.end-s.start); err != nil {
			return err
		}
	}
	if _, err := r.Write([]byte(end)); err != nil {
		return err
	}
	return r.Finish()
}
