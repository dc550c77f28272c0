package resolver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"alicorn/proxy/resolver/resolvertest"
)

const patience = 60 * time.Second

// start returns a Resolver that asks these name servers.
func start(t *testing.T, servers ...string) *Resolver {
	r := newResolver(&options{servers: servers, valid: -1, ipv4: true, ipv6: true}, "", patience)
	t.Cleanup(func() { r.Close() })
	return r
}

// look returns the answer to q as a text.
func look(r *Resolver, q Question) string {
	a := r.LookUp(context.Background(), q)
	switch {
	case a.Failure != nil:
		return a.Failure.Error()
	case q.Service:
		return fmt.Sprint(a.Services)
	}
	return fmt.Sprint(a.Addrs)
}

func host(name string) Question { return Question{Name: name} }

func TestNamesHaveTheAddressesOfBothFamilies(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	dnsServer.Set("both.test", "60 A 127.0.0.1", "60 A 127.0.0.2", "60 AAAA ::1")
	dnsServer.Set("four.test", "60 A 127.0.0.1")
	dnsServer.Set("six.test", "60 AAAA ::1")
	dnsServer.Set("empty.test")
	dnsServer.Set("alias.test", "60 CNAME other.test.")
	dnsServer.Set("other.test", "60 CNAME four.test.")
	dnsServer.Set("cycle.test", "60 CNAME cycle.test.")
	dnsServer.Set("dangling.test", "60 CNAME none.test.")
	dnsServer.Fail("broken.test", dns.RcodeServerFailure)
	dnsServer.Fail("refused.test", dns.RcodeRefused)
	dnsServer.Fail("odd.test", dns.RcodeYXDomain)
	r := start(t, dnsServer.Addr)
	for _, c := range []struct{ name, want string }{
		{"both.test", "[127.0.0.1 127.0.0.2 ::1]"},
		{"BOTH.test.", "[127.0.0.1 127.0.0.2 ::1]"},
		{"four.test", "[127.0.0.1]"},
		{"six.test", "[::1]"},
		{"alias.test", "[127.0.0.1]"},
		{"empty.test", "empty.test could not be resolved (3: Host not found)"},
		{"none.test", "none.test could not be resolved (3: Host not found)"},
		{"cycle.test", "cycle.test could not be resolved (3: Host not found)"},
		{"dangling.test", "dangling.test could not be resolved (3: Host not found)"},
		{"broken.test", "broken.test could not be resolved (2: Server failure)"},
		{"refused.test", "refused.test could not be resolved (5: Operation refused)"},
		{"odd.test", "odd.test could not be resolved (6: Unknown error)"},
		{"a b.test", "a b.test could not be resolved (3: Host not found)"},
		{"", " could not be resolved (3: Host not found)"},
		{strings.Repeat("x", 64) + ".test", strings.Repeat("x", 64) + ".test could not be resolved (3: Host not found)"},
	} {
		if got := look(r, host(c.name)); got != c.want {
			t.Errorf("%q: got %s, want %s", c.name, got, c.want)
		}
	}
	for _, o := range []options{{ipv4: true}, {ipv6: true}} {
		o.servers, o.valid = []string{dnsServer.Addr}, -1
		r := newResolver(&o, "", patience)
		want := "[::1]"
		if o.ipv4 {
			want = "[127.0.0.1 127.0.0.2]"
		}
		if got := look(r, host("both.test")); got != want {
			t.Errorf("%+v: got %s, want %s", o, got, want)
		}
		r.Close()
	}
}

// A name server may answer with an alias alone. Then its client asks for the alias.
func TestAnAliasWithoutItsAddressesIsAskedFor(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	dnsServer.Set("four.test", "60 A 127.0.0.1")
	dnsServer.First(func(w dns.ResponseWriter, q *dns.Msg) bool {
		name := q.Question[0].Name
		if name == "four.test." {
			return false
		}
		to := map[string]string{"a.test.": "b.test.", "b.test.": "four.test.", "round.test.": "about.test.", "about.test.": "round.test."}[name]
		m := new(dns.Msg).SetReply(q)
		rr, _ := dns.NewRR(name + " 60 CNAME " + to)
		m.Answer = []dns.RR{rr}
		w.WriteMsg(m)
		return true
	})
	r := start(t, dnsServer.Addr)
	if got := look(r, host("a.test")); got != "[127.0.0.1]" {
		t.Errorf("got %s, want [127.0.0.1]", got)
	}
	if got, want := look(r, host("round.test")), "round.test could not be resolved (2: Server failure)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestALongAnswerComesByTCP(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	var records []string
	for i := range 100 {
		records = append(records, fmt.Sprintf("60 A 127.0.0.%d", i))
	}
	dnsServer.Set("many.test", records...)
	a := start(t, dnsServer.Addr).LookUp(context.Background(), host("many.test"))
	if a.Failure != nil || len(a.Addrs) != 100 {
		t.Errorf("got %d addresses, %v, want 100", len(a.Addrs), a.Failure)
	}
}

func TestAnswersAreKeptForTheirTimeToLive(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	dnsServer.Set("long.test", "600 A 127.0.0.1")
	dnsServer.Set("short.test", "0 A 127.0.0.1")
	r := start(t, dnsServer.Addr)
	for range 3 {
		look(r, host("long.test"))
		look(r, host("short.test"))
		look(r, host("none.test"))
	}
	for name, want := range map[string]int{"long.test": 2, "short.test": 6, "none.test": 6} { // questions for A and AAAA
		if got := dnsServer.Asked(name); got != want {
			t.Errorf("%s: got %d questions, want %d", name, got, want)
		}
	}
	held := newResolver(&options{servers: r.servers, valid: time.Hour, ipv4: true, ipv6: true}, "", patience)
	defer held.Close()
	for range 3 {
		look(held, host("short.test"))
	}
	if got := dnsServer.Asked("short.test"); got != 8 {
		t.Errorf("short.test with valid=: got %d questions, want 2", got-6)
	}
}

func TestTheNextNameServerIsAskedIfOneFails(t *testing.T) {
	good, broken, silent := resolvertest.Start(t), resolvertest.Start(t), resolvertest.Start(t)
	good.Set("a.test", "0 A 127.0.0.1")
	broken.Fail("a.test", dns.RcodeServerFailure)
	silent.Ignore("a.test")
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.LocalAddr().String()
	closed.Close()
	r := start(t, broken.Addr, nobody, silent.Addr, good.Addr)
	r.resend = 50 * time.Millisecond
	for range 8 {
		if got := look(r, host("a.test")); got != "[127.0.0.1]" {
			t.Fatalf("got %s, want [127.0.0.1]", got)
		}
	}
	for name, s := range map[string]*resolvertest.Server{"broken": broken, "silent": silent} {
		if s.Asked("a.test") == 0 {
			t.Errorf("the %s name server: got no question, want some", name)
		}
	}
}

func TestAQuestionThatNobodyAnswersTimesOut(t *testing.T) {
	silent := resolvertest.Start(t)
	silent.Ignore("a.test")
	r := newResolver(&options{servers: []string{silent.Addr}, valid: -1, ipv4: true}, "", 3*time.Second) // a machine that is held up still asks twice
	defer r.Close()
	r.resend = 50 * time.Millisecond
	if got, want := look(r, host("a.test")), "a.test could not be resolved (110: Operation timed out)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := silent.Asked("a.test"); got < 2 {
		t.Errorf("got %d questions, want at least 2", got)
	}
}

// A question or its answer may be lost.
func TestAQuestionThatIsNotAnsweredIsAskedAgain(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	dnsServer.Set("a.test", "60 A 127.0.0.1")
	var asked atomic.Int32
	dnsServer.First(func(dns.ResponseWriter, *dns.Msg) bool { return asked.Add(1) <= 2 })
	r := newResolver(&options{servers: []string{dnsServer.Addr}, valid: -1, ipv4: true}, "", patience)
	defer r.Close()
	r.resend = 50 * time.Millisecond
	if got := look(r, host("a.test")); got != "[127.0.0.1]" {
		t.Errorf("got %s, want [127.0.0.1] by the third question", got)
	}
}

// A name server may ignore the question for one family.
func TestOneFamilyIsEnough(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	dnsServer.Set("a.test", "60 A 127.0.0.1")
	dnsServer.First(func(_ dns.ResponseWriter, q *dns.Msg) bool { return q.Question[0].Qtype == dns.TypeAAAA })
	r := start(t, dnsServer.Addr)
	r.resend = 50 * time.Millisecond
	if got := look(r, host("a.test")); got != "[127.0.0.1]" {
		t.Errorf("got %s, want [127.0.0.1]", got)
	}
}

// An attacker who has guessed the port of a question must also know its ID and its name.
func TestMessagesThatDoNotAnswerTheQuestionAreIgnored(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	dnsServer.Set("a.test", "60 A 127.0.0.1")
	dnsServer.First(func(w dns.ResponseWriter, q *dns.Msg) bool {
		evil, _ := dns.NewRR(q.Question[0].Name + " 60 A 127.6.6.6")
		for _, change := range []func(m *dns.Msg){
			func(m *dns.Msg) { m.Id++ },
			func(m *dns.Msg) { m.Response = false },
			func(m *dns.Msg) { m.Question[0].Name = "b.test." },
			func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT },
			func(m *dns.Msg) { m.Question = nil },
			func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
		} {
			m := new(dns.Msg).SetReply(q.Copy())
			m.Answer = []dns.RR{evil}
			change(m)
			w.WriteMsg(m)
		}
		w.Write([]byte("junk"))
		w.Write(make([]byte, 40))
		return false
	})
	if got := look(start(t, dnsServer.Addr), host("a.test")); got != "[127.0.0.1]" {
		t.Errorf("got %s, want [127.0.0.1]", got)
	}
}

func TestRecordsOfOtherNamesAreIgnored(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	dnsServer.First(func(w dns.ResponseWriter, q *dns.Msg) bool {
		m := new(dns.Msg).SetReply(q)
		for _, text := range []string{"b.test. 60 A 127.6.6.6", "a.test. 60 CH A 127.6.6.6", "a.test. 60 A 127.0.0.1", "a.test. 60 A 127.0.0.1"} {
			if rr, err := dns.NewRR(text); err == nil && rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		w.WriteMsg(m)
		return true
	})
	if got := look(start(t, dnsServer.Addr), host("a.test")); got != "[127.0.0.1]" {
		t.Errorf("got %s, want [127.0.0.1]", got)
	}
}

func TestServicesHaveTheAddressesOfTheirHosts(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	dnsServer.Set("_http._tcp.test", "60 SRV 1 5 8001 one.test.", "60 SRV 2 0 8002 two.test.", "60 SRV 1 1 8003 none.test.")
	dnsServer.Set("one.test", "60 A 127.0.0.1", "60 A 127.0.0.2")
	dnsServer.Set("two.test", "60 A 127.0.0.3")
	dnsServer.Set("_off._tcp.test", "60 SRV 0 0 0 .")
	r := start(t, dnsServer.Addr)
	for _, c := range []struct{ name, want string }{
		{"_http._tcp.test", "[{127.0.0.1:8001 1 5} {127.0.0.2:8001 1 5} {127.0.0.3:8002 2 0}]"},
		{"_off._tcp.test", "_off._tcp.test could not be resolved (3: Host not found)"},
		{"_none._tcp.test", "_none._tcp.test could not be resolved (3: Host not found)"},
	} {
		if got := look(r, Question{Name: c.name, Service: true}); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAQuestionIsAskedOnceForAllThatWait(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	dnsServer.Set("a.test", "0 A 127.0.0.1")
	asked, answer := make(chan bool, 1), make(chan bool)
	dnsServer.First(func(dns.ResponseWriter, *dns.Msg) bool { asked <- true; <-answer; return false })
	r := newResolver(&options{servers: []string{dnsServer.Addr}, valid: -1, ipv4: true}, "", patience)
	defer r.Close()
	var wg sync.WaitGroup
	const n = 50
	wg.Add(n)
	for range n {
		if a := r.Ask(host("a.test"), func(a *Answer) {
			if a.Failure != nil || a.Addrs[0] != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("got %v, %v, want 127.0.0.1", a.Addrs, a.Failure)
			}
			wg.Done()
		}); a != nil {
			t.Fatalf("got the answer %v at once, want none", a)
		}
	}
	<-asked
	close(answer)
	wg.Wait()
	if got := dnsServer.Asked("a.test"); got != 1 {
		t.Errorf("got %d questions, want 1", got)
	}
}

// Clients may choose names.
func TestFlightsFunctionsAndAnswersAreBounded(t *testing.T) {
	dnsServer := resolvertest.Start(t)
	answer := make(chan bool)
	dnsServer.First(func(dns.ResponseWriter, *dns.Msg) bool { <-answer; return false })
	r := newResolver(&options{servers: []string{dnsServer.Addr}, valid: -1, ipv4: true}, "", patience)
	defer r.Close()
	refused := 0
	ask := func(name string) {
		if a := r.Ask(host(name), func(*Answer) {}); a != nil && a.Failure.code == codeTooMany {
			refused++
		}
	}
	for i := range 2 * maxFlights {
		ask(fmt.Sprintf("n%d.test", i))
	}
	if refused != maxFlights || len(r.running) > maxRunning {
		t.Errorf("%d names: got %d refused and %d asked for at a time, want %d and at most %d", 2*maxFlights, refused, len(r.running), maxFlights, maxRunning)
	}
	for range 2 * maxWaiting {
		ask("n1.test")
	}
	r.mu.Lock()
	if r.waiting != maxWaiting {
		t.Errorf("got %d functions that wait, want %d", r.waiting, maxWaiting)
	}
	r.mu.Unlock()
	close(answer)
	r.mu.Lock()
	for i := range 2 * maxKept {
		r.keep(host(fmt.Sprintf("k%d.test", i)), &Answer{Addrs: []netip.Addr{netip.IPv4Unspecified()}, Expires: time.Now().Add(time.Hour)})
	}
	if len(r.kept) > maxKept || r.recent.Len() > maxKept {
		t.Errorf("got %d and %d answers in the cache, want at most %d", len(r.kept), r.recent.Len(), maxKept)
	}
	r.mu.Unlock()
}

func TestCloseMakesQuestionsFail(t *testing.T) {
	silent := resolvertest.Start(t)
	silent.Ignore("a.test")
	r := start(t, silent.Addr)
	came := make(chan *Answer, 1)
	r.Ask(host("a.test"), func(a *Answer) { came <- a })
	r.Close()
	if a := <-came; a.Failure == nil {
		t.Errorf("got the answer %v, want a failure", a)
	}
	if a := r.Ask(host("a.test"), func(*Answer) { t.Error("a closed Resolver has asked") }); a == nil || a.Failure == nil {
		t.Errorf("a closed Resolver: got %v, want a failure", a)
	}
}
