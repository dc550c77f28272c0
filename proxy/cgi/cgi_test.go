package cgi

import (
	"encoding/binary"
	"strings"
	"testing"
)

// format is the interface of the three protocols.
type format interface {
	Begin(dst []byte, length int64) []byte
	Name(dst []byte, size int) []byte
	Middle(dst []byte) []byte
	Value(dst []byte, size, at int) []byte
	End(dst []byte, start int) ([]byte, error)
	Body(dst, body []byte) []byte
}

// write returns a request with these parameters, given as name and value in turn. It writes
// behind other bytes, as callers may.
func write(t *testing.T, f format, body string, parameters ...string) string {
	t.Helper()
	const before = "before"
	dst := f.Begin([]byte(before), int64(len(body)))
	for i := 0; i < len(parameters); i += 2 {
		dst = f.Middle(append(f.Name(dst, len(parameters[i])), parameters[i]...))
		at := len(dst)
		dst = f.Value(append(dst, parameters[i+1]...), len(parameters[i]), at)
	}
	dst, err := f.End(dst, len(before))
	if err != nil {
		return err.Error()
	}
	return strings.TrimPrefix(string(f.Body(dst, []byte(body))), before)
}

func TestRequestsAreAsTheirProtocolsSay(t *testing.T) {
	long := strings.Repeat("v", 300)
	most := strings.Repeat("v", 1<<16)
	for _, c := range []struct {
		name       string
		f          format
		body       string
		parameters []string
		want       string
	}{
		{"uwsgi", &Uwsgi{Modifier1: 5, Modifier2: 6}, "body", []string{"A", "b", "CC", ""}, "\x05\x0c\x00\x06\x01\x00A\x01\x00b\x02\x00CC\x00\x00body"},
		{"uwsgi, nothing", &Uwsgi{}, "", nil, "\x00\x00\x00\x00"},
		{"uwsgi, too large", &Uwsgi{}, "", []string{"A", most}, "the uwsgi request is too big: 65541 bytes of parameters, 65535 are allowed"},
		{"SCGI", &SCGI{}, "body", []string{"SCGI", "1", "A", ""}, "27:CONTENT_LENGTH\x004\x00SCGI\x001\x00A\x00\x00,body"},
		{"SCGI, long", &SCGI{}, "", []string{"A", long}, "320:CONTENT_LENGTH\x000\x00A\x00" + long + "\x00,"},
		{"FastCGI", &FastCGI{}, "body", []string{"A", "b", "CC", ""}, "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00" +
			"\x01\x04\x00\x01\x00\x08\x00\x00" + "\x01\x01Ab\x02\x00CC" + "\x01\x04\x00\x01\x00\x00\x00\x00" + "\x01\x05\x00\x01\x00\x04\x00\x00body" + "\x01\x05\x00\x01\x00\x00\x00\x00"},
		{"FastCGI, nothing", &FastCGI{Keep: true}, "", nil, "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00" + "\x01\x04\x00\x01\x00\x00\x00\x00" + "\x01\x05\x00\x01\x00\x00\x00\x00"},
		{"FastCGI, long", &FastCGI{}, "", []string{long, long, "A", "b"}, "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00" +
			"\x01\x04\x00\x01\x02\x64\x00\x00" + "\x80\x00\x01\x2c\x80\x00\x01\x2c" + long + long + "\x01\x01Ab" + "\x01\x04\x00\x01\x00\x00\x00\x00" + "\x01\x05\x00\x01\x00\x00\x00\x00"},
		{"FastCGI, too large", &FastCGI{}, "", []string{"A", most}, "the FastCGI request is too big: 65542 bytes of parameters, 65535 are allowed"},
	} {
		if got := write(t, c.f, c.body, c.parameters...); got != c.want {
			t.Errorf("%s\n got %.200q\nwant %.200q", c.name, got, c.want)
		}
	}
}

func TestALargeBodyIsSeveralRecords(t *testing.T) {
	body := strings.Repeat("b", 1<<16)
	got := string((&FastCGI{}).Body(nil, []byte(body)))
	want := "\x01\x05\x00\x01\xff\xff\x00\x00" + body[:1<<16-1] + "\x01\x05\x00\x01\x00\x01\x00\x00b" + EndOfBody
	if got != want {
		t.Errorf("got %d bytes %.30q, want %d bytes %.30q", len(got), got, len(want), want)
	}
}

// record returns a record of an answer.
func record(kind byte, content string, padding int) string {
	head := []byte{version, kind, 0, 1, 0, 0, byte(padding), 0}
	binary.BigEndian.PutUint16(head[4:], uint16(len(content)))
	return string(head) + content + strings.Repeat("p", padding)
}

// feed feeds an answer in pieces of size bytes, up to an error.
func feed(answer string, size int) (out string, r *Records, err error) {
	r = &Records{}
	for len(answer) > 0 && err == nil {
		n := min(size, len(answer))
		var part []byte
		part, err = r.Feed([]byte(answer[:n]))
		out += string(part)
		answer = answer[n:]
	}
	return out, r, err
}

func TestRecordsAreTakenAway(t *testing.T) {
	end := record(endRequest, "\x00\x00\x00\x00\x00\x00\x00\x00", 0)
	for _, c := range []struct {
		name, answer         string
		out, complaint, fail string
		ended, clean         bool
	}{
		{"one", record(stdout, "hello", 3) + record(stdout, "", 0) + end, "hello", "", "", true, true},
		{"several", record(stdout, "he", 0) + record(stderr, "oops", 4) + record(stdout, "llo", 1) + end, "hello", "oops", "", true, true},
		{"not ended", record(stdout, "he", 0), "he", "", "", false, false},
		{"surplus", record(stdout, "he", 0) + end + "x", "he", "", "", true, false},
		{"stdout after its end", record(stdout, "he", 0) + record(stdout, "", 0) + record(stdout, "llo", 2) + end, "he", "", "", true, false},
		{"stdout after its end, which comes first", record(stdout, "", 3) + record(stdout, "hello", 0) + end, "", "", "", true, false},
		{"stdout that ends twice", record(stdout, "he", 0) + record(stdout, "", 0) + record(stdout, "", 0) + end, "he", "", "", true, true},
		{"padding at the end", record(endRequest, "12345678", 8), "", "", "", true, true},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n", "", "", errHTTP.Error(), false, false},
		{"almost HTTP", "HTTX", "", "", "unsupported FastCGI protocol version: 72", false, false},
		{"HTTP within", record(stdout, "he", 0) + "HTTP/1.1", "he", "", "unsupported FastCGI protocol version: 72", false, false},
		{"another type", record(9, "he", 0), "", "", "unexpected FastCGI record: 9", false, false},
		{"another request", "\x01\x06\x00\x02\x00\x00\x00\x00", "", "", errRequest.Error(), false, false},
		{"a long complaint", record(stderr, strings.Repeat("x", 9000), 0), "", strings.Repeat("x", 9000), "", false, false},
	} {
		for _, size := range []int{1, 2, 7, 1 << 20} {
			out, r, err := feed(c.answer, size)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if out != c.out || string(r.Stderr) != c.complaint || text != c.fail || r.Ended() != c.ended || r.Clean() != c.clean {
				t.Errorf("%s in pieces of %d:\n got %q, stderr %.50q, error %q, ended %v, clean %v\nwant %q, stderr %.50q, error %q, ended %v, clean %v", c.name, size,
					out, r.Stderr, text, r.Ended(), r.Clean(), c.out, c.complaint, c.fail, c.ended, c.clean)
			}
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(record(stdout, "hello", 3)+record(stderr, "oops", 0)+record(endRequest, "12345678", 0), 3)
	f.Add("HTTP/1.1 200 OK", 1)
	f.Fuzz(func(t *testing.T, answer string, size int) {
		whole, a, errA := feed(answer, 1<<20)
		parts, b, errB := feed(answer, max(size&31, 1))
		if whole != parts || string(a.Stderr) != string(b.Stderr) || (errA == nil) != (errB == nil) || a.Ended() != b.Ended() || errA == nil && a.Clean() != b.Clean() {
			t.Errorf("%q: got %q, %v in parts, want %q, %v as in one piece", answer, parts, errB, whole, errA)
		}
		if len(whole) > len(answer) {
			t.Errorf("%q: got %q, want at most %d bytes", answer, whole, len(answer))
		}
	})
}
