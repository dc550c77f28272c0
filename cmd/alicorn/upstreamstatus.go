package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"alicorn/cmd/alicorn/control"
	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxypass"
)

// upstreamsOf returns the state of the groups that r holds in the form of the control API.
func upstreamsOf(r *config.Resources) (all []control.Upstream) {
	for _, g := range proxypass.Statuses(r) {
		u := control.Upstream{Name: g.Name, Protocol: g.Protocol, TLS: g.TLS, Queue: g.Queue, Lookups: g.Lookups}
		for _, p := range g.Peers {
			u.Peers = append(u.Peers, control.Peer{Address: p.Address, State: string(p.State), Backup: p.Backup, Weight: p.Weight, Requests: p.Requests,
				Failures: p.Failures, Active: p.Active, Idle: p.Idle, Header: p.Header.Seconds(), Response: p.Response.Seconds(), Error: p.Why, Row: p.Row, Ended: p.Ended})
		}
		all = append(all, u)
	}
	return all
}

// printUpstream prints a group of servers.
func printUpstream(w io.Writer, u control.Upstream) error {
	way := u.Protocol + "_pass"
	if u.TLS {
		way += ", TLS"
	}
	fmt.Fprintf(w, "\nupstream %s (%s): %s, %d waiting\n", u.Name, way, proxy.Count(len(u.Peers), "server"), u.Queue)
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  SERVER\tSTATE\tWEIGHT\tREQUESTS\tFAILURES\tACTIVE\tIDLE\tHEAD\tRESPONSE")
	for _, p := range u.Peers {
		state := p.State
		if p.Backup {
			state += ", backup"
		}
		fmt.Fprintf(t, "  %s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", p.Address, state, p.Weight, p.Requests, p.Failures, p.Active, p.Idle, timeText(p.Header), timeText(p.Response))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, why := range u.Lookups {
		fmt.Fprintf(w, "  %s\n", why)
	}
	for _, p := range u.Peers {
		if p.Error != "" {
			fmt.Fprintf(w, "  %s failed last at %s: %s\n", p.Address, moment(p.Ended), p.Error)
		}
	}
	return nil
}

// fewFailures is up to how many failures in a row say nothing of a group.
const fewFailures = 2

// unanswered returns a sentence about a group whose servers have all failed lately, several
// times in a row; "": there is one that has answered, or was not asked. The sentence stays
// the same while they fail in the same way, so that it is reported once.
func unanswered(u control.Upstream, now time.Time) string {
	if len(u.Peers) == 0 && len(u.Lookups) > 0 {
		return fmt.Sprintf("upstream %s has no server: %s", u.Name, u.Lookups[0])
	}
	var first *control.Peer
	row, ended := 0, time.Time{}
	for i := range u.Peers {
		p := &u.Peers[i]
		switch proxypass.PeerState(p.State) {
		case proxypass.PeerDown, proxypass.PeerDraining, proxypass.PeerUnhealthy:
			continue
		}
		if p.Error == "" {
			return ""
		}
		if first == nil {
			first = p
		}
		if row += p.Row; p.Ended.After(ended) {
			ended = p.Ended
		}
	}
	if row <= fewFailures || now.Sub(ended) > toldFor {
		return ""
	}
	return fmt.Sprintf("upstream %s has no server that answers: %s: %s; the error log has each request", u.Name, first.Address, first.Error)
}

// timeText is a time of a server's answers; "-": there was none.
func timeText(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return time.Duration(seconds * float64(time.Second)).Round(10 * time.Microsecond).String()
}
