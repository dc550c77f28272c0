package main

import (
	"testing"
	"time"
)

func TestFairIsJudgedByOrderAndRate(t *testing.T) {
	c := fairCase{workers: 2, clients: 20, service: 10 * time.Millisecond} // in order: 100 ms
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, tt := range []struct {
		name    string
		results []fairResult
		broken  int
	}{
		{"in order", []fairResult{{200, ms(100), ms(110), 0}}, 0},
		{"one starves", []fairResult{{200, ms(50), ms(2000), 0}}, 1},
		{"one fails", []fairResult{{200, ms(100), ms(110), 1}}, 1},
		{"slower than the machine allows, in order", []fairResult{{100, ms(200), ms(390), 0}}, 0},
		{"as fast as before", []fairResult{{195, ms(100), ms(110), 0}, {200, ms(50), ms(9000), 7}}, 0},
		{"slower than before", []fairResult{{180, ms(110), ms(120), 0}, {200, ms(50), ms(9000), 7}}, 1},
	} {
		f := fair{slack: ms(50), share: 0.93}
		if broken := f.judge(c, tt.results); len(broken) != tt.broken {
			t.Errorf("%s: broken are %q; want %d rules", tt.name, broken, tt.broken)
		}
	}
}
