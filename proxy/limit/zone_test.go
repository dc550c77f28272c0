package limit

import (
	"fmt"
	"math"
	"testing"
)

func TestAStateForAFirstRequestIsAllThatAllocates(t *testing.T) {
	z := &zone{rate: 1000, states: newStates(32 << 10)}
	key := []byte("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { z.count(z.states.hash(key), unbounded) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestAZoneIsBounded(t *testing.T) {
	for _, size := range []int64{32 << 10, 1 << 20, 3 << 20} {
		z := &zone{rate: 1000, states: newStates(size)}
		room := int(size / stateSize)
		for i := range 4 * room {
			z.count(z.states.hash(fmt.Append(nil, i)), 0)
		}
		held := 0
		for i := range z.states.shards {
			sh := &z.states.shards[i]
			held += len(sh.index)
			if len(sh.index) != len(sh.list) || chain(sh) != len(sh.list) {
				t.Errorf("size %d: %d keys, %d states, %d linked", size, len(sh.index), len(sh.list), chain(sh))
			}
		}
		if held > room || held < room*9/10 {
			t.Errorf("size %d: %d states of %d; want at least %d", size, held, room, room*9/10)
		}
	}
}

// chain returns the number of linked states; -1 if the links of both directions differ.
func chain(sh *shard) int {
	n, newer := 0, int32(none)
	for i := sh.newest; i != none && n <= len(sh.list); i = sh.list[i].older {
		if sh.list[i].newer != newer {
			return -1
		}
		newer, n = i, n+1
	}
	if newer != sh.oldest {
		return -1
	}
	return n
}

func TestADelayIsBoundedToWhatATimeHolds(t *testing.T) {
	for _, c := range []struct{ rate, excess, delay, want int64 }{
		{1000, 1000, 0, 1000},
		{16, 1000, 1000, 0},
		{16, maxBurst * 1000, 0, longestWait},
		{1, math.MaxInt64 / 1000, 0, longestWait},
	} {
		l := &limit{zone: &zone{rate: c.rate}, delay: c.delay}
		if got := l.wait(c.excess).Milliseconds(); got != c.want || got < 0 {
			t.Errorf("%+v: %d ms; want %d and at least 0", c, got, c.want)
		}
	}
}

// The numbers are those of nginx's source, worked out by hand.
func TestTheExcessIsNginxs(t *testing.T) {
	for _, c := range []struct{ rate, excess, ms, want int64 }{
		{1000, 0, 0, 1000}, {1000, 1000, 500, 1500}, {1000, 0, 5000, 0}, {16, 1000, 62, 2000}, {16, 1000, 63, 1999},
		{33, 2000, 1000, 2967}, {1e9, 1e12, 1 << 60, 0}, {1000, 0, -5, 1000},
	} {
		z := &zone{rate: c.rate}
		if got, _ := z.excess(&state{excess: c.excess, last: 100}, 100+c.ms); got != c.want {
			t.Errorf("%+v: %d; want %d", c, got, c.want)
		}
	}
}
