package proxypass

import "time"

// health is what a lane knows of a peer: its turn, and its failures.
type health struct {
	current   int // of the smooth weighted round robin
	effective int // its weight, less after failures
	fails     int
	failed    time.Time // when it failed last
	checked   time.Time // when it failed, or was tried again after that
}

// choose returns the peer whose turn it is, nil when none is left. tried has those that the
// request has failed with. It is nginx's smooth weighted round robin: the peer with the
// largest current weight is chosen, and pays what all have gained. A peer that has failed
// max_fails times rests for fail_timeout. Backups are asked when no other is left, and
// after them those that rest, the one first that has rested longest: it may be back, and
// the answer would be 502 otherwise. There nginx answers 502 until fail_timeout is over.
func (l *lane) choose(tried []bool, now time.Time) *peer {
	g := l.group
	if len(g.peers) == 1 {
		if p := &g.peers[0]; !tried[0] && !p.down {
			return p
		}
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, backup := range []bool{false, true} {
		if p := l.chooseOf(backup, tried, now); p != nil {
			return p
		}
	}
	return l.chooseResting(tried)
}

// chooseResting returns the peer that has rested longest of those that are not tried,
// nil where there is none.
func (l *lane) chooseResting(tried []bool) *peer {
	var best *peer
	for i := range l.group.peers {
		p := &l.group.peers[i]
		if !p.down && !tried[i] && (best == nil || l.peers[i].checked.Before(l.peers[best.index].checked)) {
			best = p
		}
	}
	return best
}

func (l *lane) chooseOf(backup bool, tried []bool, now time.Time) *peer {
	var best *peer
	total := 0
	for i := range l.group.peers {
		p, s := &l.group.peers[i], &l.peers[i]
		if p.backup != backup || p.down || tried[i] || p.maxFails > 0 && s.fails >= p.maxFails && now.Sub(s.checked) <= p.failTimeout {
			continue
		}
		s.current += s.effective
		total += s.effective
		if s.effective < p.weight {
			s.effective++
		}
		if best == nil || s.current > l.peers[best.index].current {
			best = p
		}
	}
	if best == nil {
		return nil
	}
	s := &l.peers[best.index]
	s.current -= total
	if now.Sub(s.checked) > best.failTimeout {
		s.checked = now
	}
	return best
}

// report notes how a request to p has ended.
func (l *lane) report(p *peer, failed bool, now time.Time) {
	if len(l.group.peers) == 1 {
		return // there is no other to ask
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.peers[p.index]
	if !failed {
		if s.failed.Before(s.checked) {
			s.fails = 0
		}
		return
	}
	s.fails++
	s.failed, s.checked = now, now
	if p.maxFails > 0 {
		s.effective = max(s.effective-p.weight/p.maxFails, 0)
	}
}

// tries returns how many peers a request may be sent to, at least one.
func (g *Group) tries() int {
	n := 0
	for i := range g.peers {
		if !g.peers[i].down {
			n++
		}
	}
	return max(n, 1)
}
