// Package resolvertest is a name server for tests, by UDP and TCP.
package resolvertest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Server is a name server. It knows the names that Set gives it, and no others.
type Server struct {
	Addr string // HOST:PORT

	t       testing.TB
	mu      sync.Mutex
	records map[string][]dns.RR
	codes   map[string]int
	silent  map[string]bool
	first   func(w dns.ResponseWriter, q *dns.Msg) (answered bool)
	asked   map[string]int
}

// Start returns a Server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, records: map[string][]dns.RR{}, codes: map[string]int{}, silent: map[string]bool{}, asked: map[string]int{}}
	l, pc := bind(t)
	s.Addr = l.Addr().String()
	var ended sync.WaitGroup
	t.Cleanup(ended.Wait)
	for _, server := range []*dns.Server{{Listener: l, Handler: s}, {PacketConn: pc, Handler: s}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		ended.Go(func() { server.ActivateAndServe() })
		<-started
		t.Cleanup(func() { server.Shutdown() })
	}
	return s
}

// bind returns sockets of both kinds with one port.
func bind(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if pc, err := net.ListenPacket("udp", l.Addr().String()); err == nil {
			return l, pc
		}
		l.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

// Set has the name have these records, in the form of zone files: "60 A 127.0.0.1". Without
// records it has none, but is a name.
func (s *Server) Set(name string, records ...string) {
	s.t.Helper()
	all := []dns.RR{}
	for _, text := range records {
		rr, err := dns.NewRR(dns.Fqdn(name) + " " + text)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.codes, key(name))
	delete(s.silent, key(name))
	s.records[key(name)] = all
}

// Fail has questions about the name answered by this code.
func (s *Server) Fail(name string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[key(name)] = code
}

// Ignore has questions about the name not answered.
func (s *Server) Ignore(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent[key(name)] = true
}

// First has f see all questions before the Server does, which answers them where f has not.
func (s *Server) First(f func(w dns.ResponseWriter, q *dns.Msg) (answered bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = f
}

// Asked returns how often name was asked for.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[key(name)]
}

func key(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// ServeDNS is dns.Handler's.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	name := key(q.Question[0].Name)
	s.mu.Lock()
	s.asked[name]++
	m, silent, first := s.answer(q, name), s.silent[name], s.first
	s.mu.Unlock()
	if silent || first != nil && first(w, q) {
		return
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		m.Truncate(dns.MinMsgSize)
	}
	w.WriteMsg(m)
}

// answer makes the answer, with the names that name stands for. s.mu is held.
func (s *Server) answer(q *dns.Msg, name string) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	if code, fails := s.codes[name]; fails {
		return m.SetRcode(q, code)
	}
	if _, known := s.records[name]; !known {
		return m.SetRcode(q, dns.RcodeNameError)
	}
	for range 8 {
		next := ""
		for _, rr := range s.records[name] {
			alias, is := rr.(*dns.CNAME)
			if is {
				next = key(alias.Target)
			}
			if is || rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	return m
}
