package static

import (
	"strconv"
	"sync/atomic"
	"time"
)

// validators are the validators of a file, RFC 9110 section 8.8, as values of header fields.
type validators struct {
	modified     int64 // seconds since 1970
	size         int64
	etag         string // time and size in hexadecimal, as in nginx
	lastModified string
}

func newValidators(modified, size int64) *validators {
	b := append(make([]byte, 0, 40), '"')
	b = strconv.AppendInt(b, modified, 16)
	b = strconv.AppendInt(append(b, '-'), size, 16)
	return &validators{modified, size, string(append(b, '"')), formatDate(modified)}
}

// validatorTable keeps the validators of recent times and sizes, so that they are not made
// again for each request.
type validatorTable [256]atomic.Pointer[validators]

func (t *validatorTable) of(modified, size int64) *validators {
	p := &t[uint64(modified*31+size)*0x9e3779b97f4a7c15>>56]
	v := p.Load()
	if v == nil || v.modified != modified || v.size != size {
		v = newValidators(modified, size)
		p.Store(v)
	}
	return v
}

const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

func formatDate(unix int64) string { return time.Unix(unix, 0).UTC().Format(httpDate) }

// parseDate reads an HTTP date in its three forms, RFC 9110 section 5.6.7.
func parseDate(s string) (unix int64, ok bool) {
	for _, layout := range []string{httpDate, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}
