package static

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"alicorn/proxy"
)

// span is a byte range: from start, up to but not including end.
type span struct{ start, end int64 }

func (s span) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.start, s.end-1, size)
}

// rangeResult says how a Range field is answered.
type rangeResult uint8

const (
	rangeIgnored       rangeResult = iota // the response has the whole file
	rangeTaken                            // 206
	rangeUnsatisfiable                    // 416
)

// parseRanges reads a Range field for a file of that size, RFC 9110 section 14.1.2. As in
// nginx, it ignores a field with another unit, with more than limit ranges (limit >= 0), or
// with ranges that together are longer than the file. A malformed field, and one whose ranges
// all are behind the end, are unsatisfiable.
func parseRanges(value string, size int64, limit int) ([]span, rangeResult) {
	if len(value) < 7 || !strings.EqualFold(value[:6], "bytes=") {
		return nil, rangeIgnored
	}
	var spans []span
	total := int64(0)
	for rest := value[6:]; rest != ""; {
		var spec string
		spec, rest, _ = strings.Cut(rest, ",")
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		s, ok := parseSpan(spec, size)
		switch {
		case !ok:
			return nil, rangeUnsatisfiable
		case s.start < s.end:
			if limit >= 0 && len(spans) == limit {
				return nil, rangeIgnored
			}
			if s.end-s.start > size-total {
				return nil, rangeIgnored
			}
			total += s.end - s.start
			spans = append(spans, s)
		case s.start == 0:
			return nil, rangeIgnored // the file is empty
		}
	}
	if len(spans) == 0 {
		return nil, rangeUnsatisfiable
	}
	return spans, rangeTaken
}

// parseSpan reads one range; false if it is malformed. The span of a range behind the end is
// empty.
func parseSpan(spec string, size int64) (span, bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return span{}, false
	}
	first, last = strings.TrimRight(first, " \t"), strings.TrimLeft(last, " \t")
	if first == "" {
		n, ok := digits(last)
		return span{max(size-n, 0), size}, ok
	}
	start, ok := digits(first)
	if last == "" {
		return span{start, size}, ok
	}
	end, ok2 := digits(last)
	return span{start, min(end, size-1) + 1}, ok && ok2
}

// digits reads a decimal number. A number that is too large for an int64 becomes the largest
// int64, which is behind the end of any file.
func digits(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		if n > (math.MaxInt64-int64(d))/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(d)
	}
	return n, true
}

// sendRanges answers a request with a Range field. done is false if the field is ignored.
func (st *site) sendRanges(x *proxy.Exchange, lk *lookup, value string) (done bool, err error) {
	size := lk.file.size
	spans, result := parseRanges(value, size, st.maxRanges)
	r := &x.Res
	switch {
	case result == rangeIgnored:
		return false, nil
	case result == rangeUnsatisfiable:
		return true, &proxy.Fail{Status: 416, Field: proxy.Field{Name: "Content-Range", Value: "bytes */" + strconv.FormatInt(size, 10)}}
	case len(spans) == 1:
		s := spans[0]
		r.Status = 206
		r.Header.Add("Content-Range", s.contentRange(size))
		return true, sendPart(x, lk, s.start, s.end-s.start)
	}
	return true, sendMultipart(r, lk, spans)
}

// sendMultipart sends several ranges as multipart/byteranges, RFC 9110 section 14.6, in
// nginx's layout. As in nginx, header filters see the type of the file, and what they make
// of it is the type of each part.
func sendMultipart(r *proxy.Response, lk *lookup, spans []span) error {
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
			heads[i] = head + "Content-Range: " + s.contentRange(lk.file.size) + "\r\n\r\n"
			r.Length += int64(len(heads[i])) + s.end - s.start
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
		if err := lk.send(r, s.start, s.end-s.start); err != nil {
			return err
		}
	}
	if _, err := r.Write([]byte(end)); err != nil {
		return err
	}
	return r.Finish()
}
