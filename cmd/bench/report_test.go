package main

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		name  string
		rates []float64
		want  float64
	}{
		{"one", []float64{3}, 3},
		{"odd, not in order", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 2, 100}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var s series
			for _, rate := range test.rates {
				s.samples = append(s.samples, sample{rate: rate})
			}
			if s.rate() != test.want {
				t.Errorf("median of %v = %v, want %v", test.rates, s.rate(), test.want)
			}
		})
	}
}

func TestTableComparesWithEachOfNginxsPairs(t *testing.T) {
	row := func(server string, rate, cpu float64) series {
		return series{server: server, samples: []sample{{rate: rate, cpu: cpu, p50: 500 * time.Microsecond,
			p99: 2 * time.Millisecond, memory: 3 << 20, memoryBy: "PSS"}}}
	}
	cells := table{rows: []series{row("alicorn", 600, 20), row("nginx+gunicorn", 200, 80), row("nginx+uwsgi", 400, 0)}}.cells()
	want := []string{
		"server,requests/s,CPU µs/request,p50,p99,memory,errors,rate / nginx+gunicorn,CPU / nginx+gunicorn,rate / nginx+uwsgi,CPU / nginx+uwsgi",
		"alicorn,600,20.0,0.500 ms,2.0 ms,3 MiB PSS,0,3.00,0.25,1.50,-",
		"nginx+gunicorn,200,80.0,0.500 ms,2.0 ms,3 MiB PSS,0,1.00,1.00,0.50,-",
		"nginx+uwsgi,400,0.0,0.500 ms,2.0 ms,3 MiB PSS,0,2.00,0.00,1.00,-",
	}
	for i, row := range cells {
		if got := strings.Join(row, ","); got != want[i] {
			t.Errorf("row %d is\n%s, want\n%s", i, got, want[i])
		}
	}
}

func TestMeasurementsWithErrorsAreFailures(t *testing.T) {
	tables := []table{{title: "hello", connections: 32, rows: []series{
		{server: "a", samples: []sample{{}, {errors: []string{"Non-2xx or 3xx responses: 2"}}}},
		{server: "b", samples: []sample{{}, {}}},
	}}}
	got := strings.Join(failures(tables), "\n")
	if want := "hello, 32 connections, a: Non-2xx or 3xx responses: 2"; got != want {
		t.Errorf("failures = %q, want %q", got, want)
	}
}

func TestWriteAligned(t *testing.T) {
	var b strings.Builder
	writeAligned(&b, [][]string{{"name", "µs"}, {"a", "1"}, {"longer", "1234"}})
	want := "| name   |   µs |\n|--------|-----:|\n| a      |    1 |\n| longer | 1234 |\n"
	if b.String() != want {
		t.Errorf("writeAligned wrote\n%s, want\n%s", b.String(), want)
	}
}
