package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestASGIPrograms runs the programs of testdata/asgi/programs, each with the frameworks
// that it imports. Next to NAME.py, the file NAME.txt has what a client sends and what
// each server answers:
//
//	# a comment
//	> METHOD TARGET, or WEBSOCKET TARGET
//	> FIELD: VALUE
//	>
//	> BODY
//	< STATUS, and "uvicorn:STATUS" if its is another
//	< FIELD: VALUE
//	<
//	< BODY
//
// Line feeds join the lines of a body. A line in double quotes is a Go string, and
// nothing joins two of them. An answer without a body has any.
// After the answer 101 follow messages, as "> text TEXT", "< close CODE REASON", in the
// order in which they are sent and come. "> leave after TEXT" closes the connection when
// the text has come. Answers of all servers are the same, but for Date, Server and framing.
func TestASGIPrograms(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "asgi", "programs", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %d programs, %v", len(files), err)
	}
	dir := asgiDirectory(t, "programs")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exchanges, err := readExchanges(file)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]asgiAnswer{}
			servers := asgiServers()
			if name == "django_app" {
				servers = append(servers, asgiKind{"alicorn with WSGI", startBeside})
			}
			for _, kind := range servers {
				s := kind.start(t, dir, name+":app")
				for _, e := range exchanges {
					e.run(t, kind.name, s, seen)
				}
				s.stop(t)
			}
		})
	}
}

// exchange is a request and its answer.
type exchange struct {
	place    string // file and line
	request  []string
	body     string
	status   int
	uvicorn  int // its status
	head     []string
	want     string
	wanted   bool // want is the body
	leave    string
	messages []string // as in the file
}

// readExchanges reads a file of exchanges.
func readExchanges(file string) (all []exchange, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for n, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		e := exchange{place: fmt.Sprintf("%s, exchange %d", filepath.Base(file), n+1)}
		if err := e.parse(strings.Split(strings.TrimSpace(block), "\n")); err != nil {
			return nil, fmt.Errorf("%s: %w", e.place, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// parse reads the lines of an exchange.
func (e *exchange) parse(lines []string) (err error) {
	sent, received, messages := exchangePart{}, exchangePart{}, false
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "#"):
		case messages && !strings.Contains(strings.SplitN(line, " ", 3)[1], ":"):
			e.messages = append(e.messages, line)
		case strings.HasPrefix(line, "> leave after "):
			e.leave = strings.TrimPrefix(line, "> leave after ")
		case strings.HasPrefix(line, ">"):
			err = sent.add(line[1:])
		case strings.HasPrefix(line, "<"):
			err = received.add(line[1:])
			messages = line == "< 101" || messages
		default:
			err = fmt.Errorf("invalid line %q: must begin with >, < or #", line)
		}
		if err != nil {
			return err
		}
	}
	if len(sent.head) == 0 || len(received.head) == 0 {
		return fmt.Errorf("there is no request, or no status")
	}
	e.request, e.body, e.head, e.want, e.wanted = sent.head, sent.body(), received.head[1:], received.body(), received.within
	own, theirs, differs := strings.Cut(received.head[0], " uvicorn:")
	if !differs {
		theirs = own
	}
	if e.status, err = strconv.Atoi(own); err == nil {
		e.uvicorn, err = strconv.Atoi(theirs)
	}
	return err
}

// exchangePart is a request or an answer that is being read.
type exchangePart struct {
	head   []string
	within bool // the head has ended
	text   strings.Builder
	joined bool // no line feed comes before the next line
}

func (p *exchangePart) add(line string) error {
	line = strings.TrimPrefix(line, " ")
	switch {
	case line == "" && !p.within:
		p.within, p.joined = true, true
	case !p.within:
		p.head = append(p.head, line)
	default:
		quoted := strings.HasPrefix(line, `"`)
		if !p.joined || !quoted && p.text.Len() > 0 {
			p.text.WriteByte('\n')
		}
		if quoted {
			text, err := strconv.Unquote(line)
			if err != nil {
				return fmt.Errorf("invalid string %s: %w", line, err)
			}
			line = text
		}
		p.text.WriteString(line)
		p.joined = quoted
	}
	return nil
}

func (p *exchangePart) body() string { return p.text.String() }

// run makes the exchange with a server, and compares the answer with the right one, and
// with the one of the server before.
func (e exchange) run(t *testing.T, server string, s asgiServer, seen map[string]asgiAnswer) {
	c := dialASGI(t, s.address)
	method, target, _ := strings.Cut(e.request[0], " ")
	k := asgiCheck{method: method, target: target, fields: e.request[1:], status: e.status, head: e.head, want: "*"}
	if e.wanted {
		k.want = e.want
	}
	if server == "uvicorn" {
		k.status = e.uvicorn
	}
	a := e.exchange(c, k)
	for _, fault := range c.faults {
		t.Errorf("%s, %s: %s", server, e.place, fault)
	}
	for _, name := range []string{"Date", "Server", "Connection", "Content-Length"} {
		a.header.Del(name)
	}
	if a.body == "" {
		a.header.Del("Content-Type")
	}
	before, ok := seen[e.place]
	if seen[e.place] = a; !ok || e.status != e.uvicorn {
		return
	}
	if !maps.EqualFunc(a.header, before.header, slices.Equal) || a.body != before.body && a.header.Get("Content-Encoding") == "" {
		t.Errorf("%s, %s: the answer is %v %.300q, not %v %.300q as before", server, e.place, a.header, a.body, before.header, before.body)
	}
}

func (e exchange) exchange(c *asgiClient, k asgiCheck) asgiAnswer {
	if k.method == "WEBSOCKET" {
		k.method, k.fields = "GET", append(slices.Clone(k.fields), handshakeFields()...)
	}
	if !slices.ContainsFunc(k.fields, func(f string) bool { return strings.HasPrefix(f, "Host:") }) {
		k.fields = append([]string{"Host: tests.test"}, k.fields...)
	}
	length := ""
	if e.body != "" && !slices.Contains(k.fields, "Transfer-Encoding: chunked") {
		length = fmt.Sprintf("Content-Length: %d\r\n", len(e.body))
	}
	c.send(fmt.Sprintf("%s %s HTTP/1.1\r\n%s\r\n%s\r\n%s", k.method, k.target, strings.Join(k.fields, "\r\n"), length, e.body))
	if e.leave != "" {
		c.readUntil(e.leave)
		c.conn.Close()
		return asgiAnswer{}
	}
	if e.status == 101 {
		k.want = "none"
	}
	a := k.answer(c)
	for _, message := range e.messages {
		e.message(c, message)
	}
	c.conn.Close()
	return a
}

// message sends a message, or compares one that comes.
func (e exchange) message(c *asgiClient, line string) {
	text := line[2:]
	if line[0] == '<' {
		if got := c.frame(); got != text && !(text == "close" && strings.HasPrefix(got, text)) {
			c.fault("frame is %.200q, not %.200q", got, text)
		}
		return
	}
	switch kind, rest, _ := strings.Cut(text, " "); kind {
	case "text":
		c.send(clientFrame(0x81, rest))
	case "binary":
		c.send(clientFrame(0x82, rest))
	case "close":
		code, err := strconv.ParseUint(rest, 10, 16)
		if err != nil {
			c.fault("invalid code %q", rest)
		}
		c.sendClose(closePayload(uint16(code), ""))
	default:
		c.fault("invalid message %q", line)
	}
}
