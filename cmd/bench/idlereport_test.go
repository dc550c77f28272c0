package main

import (
	"errors"
	"strings"
	"testing"
)

func TestIdleConnectionsAgainstAnEarlierBuild(t *testing.T) {
	measured := func(server string, memory, rate, cpu float64) idleSeries {
		s := idleSeries{server: server}
		for range 3 {
			s.samples = append(s.samples, idleSample{rss: memory, pss: memory, load: sample{rate: rate, cpu: cpu}})
		}
		return s
	}
	before := measured("before", 1000, 5000, 10)
	for _, test := range []struct {
		name   string
		own    idleSeries
		broken string
	}{
		{"equal", measured("alicorn", 1000, 5000, 10), ""},
		{"cheaper", measured("alicorn", 500, 9000, 5), ""},
		{"within the noise of heaps", measured("alicorn", 1060, 5000, 10), ""},
		{"more memory", measured("alicorn", 1200, 5000, 10), "each of 20 connections takes 1.17 KiB"},
		{"slower", measured("alicorn", 1000, 4000, 10), "20 connections that wait, 4 connections: 0.800 by rate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := idle{kind: idleKinds()[0], rounds: 3, active: 4}
			var b strings.Builder
			err := i.report(&b, []peer{{name: "alicorn"}, {name: "before", build: true}}, 20, []idleSeries{test.own, before})
			switch {
			case test.broken == "" && err != nil:
				t.Error(err)
			case test.broken != "" && (!errors.Is(err, errBroken) || !strings.Contains(err.Error(), test.broken)):
				t.Errorf("the error is %v, want %q", err, test.broken)
			}
			if !strings.Contains(b.String(), "alicorn over before: memory") {
				t.Errorf("the report does not compare (want \"alicorn over before: memory\" in it):\n%s", b.String())
			}
		})
	}
}
