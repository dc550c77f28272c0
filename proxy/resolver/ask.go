package resolver

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// udpSize is the largest answer by UDP, in bytes.
const udpSize = 4096

// ask returns the answer of the first name server that has one, or why none has. It tries
// the name servers in turn, until each has answered with an error or ctx is done.
func (r *Resolver) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, *Failure) {
	start := int(r.turn.Add(1))
	refused := 0
	for i := start; ; i++ {
		began := time.Now()
		m, err := r.try(ctx, r.servers[i%len(r.servers)], name, kind)
		switch {
		case ctx.Err() != nil:
			return nil, &Failure{name, codeTimedOut}
		case err == nil && (m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError):
			return m, nil
		case err == nil:
			if refused++; refused >= len(r.servers) {
				return nil, &Failure{name, m.Rcode}
			}
		case (i-start)%len(r.servers) == len(r.servers)-1: // all of them were tried
			sleep(ctx, r.resend-time.Since(began))
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// try asks one name server: by UDP, and by TCP if the answer was truncated.
func (r *Resolver) try(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, r.resend)
	defer cancel()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	m, err := exchange(ctx, "udp", server, q)
	if err == nil && m.Truncated {
		return exchange(ctx, "tcp", server, q)
	}
	return m, err
}

// exchange sends q, and reads messages until one answers it.
func exchange(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })()
	c := &dns.Conn{Conn: nc, UDPSize: udpSize}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		m, err := c.ReadMsg()
		switch {
		case err == nil && answers(m, q):
			return m, nil
		case network == "tcp" && err == nil:
			return nil, fmt.Errorf("name server %s has answered another question", server)
		case network == "tcp" || isNetwork(err):
			return nil, err
		}
	}
}

// isNetwork reports whether err is an error of the socket, and not of a message.
func isNetwork(err error) bool {
	_, is := err.(net.Error)
	return is
}

// answers reports whether m is an answer to q. Any host may send a datagram that is not.
func answers(m, q *dns.Msg) bool {
	return m.Id == q.Id && m.Response && m.Opcode == dns.OpcodeQuery && len(m.Question) == 1 &&
		m.Question[0].Qtype == q.Question[0].Qtype && m.Question[0].Qclass == q.Question[0].Qclass &&
		strings.EqualFold(m.Question[0].Name, q.Question[0].Name)
}
