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
		"server,requests/s,CPU µs/request,p50,p99,memory,errors," +
			"rate / nginx+gunicorn,CPU / nginx+gunicorn,p99 / nginx+gunicorn,rate / nginx+uwsgi,CPU / nginx+uwsgi,p99 / nginx+uwsgi",
		"alicorn,600,20.0,0.500 ms,2.0 ms,3 MiB PSS,0,3.00,0.25,1.00,1.50,-,1.00",
		"nginx+gunicorn,200,80.0,0.500 ms,2.0 ms,3 MiB PSS,0,1.00,1.00,1.00,0.50,-,1.00",
		"nginx+uwsgi,400,0.0,0.500 ms,2.0 ms,3 MiB PSS,0,2.00,0.00,1.00,1.00,-,1.00",
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

func TestSummaryHasARowForEachComparison(t *testing.T) {
	row := func(server string, rate, cpu float64, p99 time.Duration) series {
		return series{server: server, samples: []sample{{rate: rate, cpu: cpu, p50: p99 / 2, p99: p99}}}
	}
	rows := summary([]table{
		{title: "hello", connections: 32, rows: []series{row("alicorn", 100, 10, 4), row("nginx+gunicorn", 20, 40, 2), row("nginx+uwsgi", 50, 20, 8), row("unit", 1, 1, 1)}},
		{title: "static", connections: 1, rows: []series{row("nginx", 1, 1, 1)}},
	})
	want := []string{"case,connections,against,rate,CPU,p50,p99", "hello,32,nginx+gunicorn,5.00x,0.25x,2.00x,2.00x", "hello,32,nginx+uwsgi,2.00x,0.50x,0.50x,0.50x"}
	for i, row := range rows {
		if i >= len(want) || strings.Join(row, ",") != want[i] {
			t.Errorf("row %d is %v", i, row)
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d rows, want %d", len(rows), len(want))
	}
}

func TestTheReportSaysWhatIsComparedAndHowToMakeItAgain(t *testing.T) {
	c := comparison{args: []string{"-rounds", "3", "-cases", "proxy-*"}, rounds: 3, duration: 2 * time.Second, cases: allCases()}
	report := c.report(machine{lines: []string{"2 cores", "alicorn: alicorn/1.0"}}, nil)
	for _, part := range []string{
		"**Cases.** files (static 1 KiB; static 100 KiB; static 10 MiB), TLS (", "), WSGI applications (WSGI hello; ", "), ASGI applications (ASGI hello; ",
		"), WebSockets (WebSocket echo), proxying (proxy hello, gunicorn by a unix socket; ", "), gateways (gateway hello, uWSGI by uwsgi_pass; ",
		"Each is the median of 3 rounds of 2s.", `"rate / nginx" is the server's rate divided by nginx's`, "This run: `go run ./cmd/bench -rounds 3 -cases 'proxy-*'`.", "- alicorn: alicorn/1.0\n",
	} {
		if !strings.Contains(report, part) {
			t.Errorf("the report lacks %q:\n%.3000s", part, report)
		}
	}
	if strings.Contains(report, "%!") {
		t.Errorf("the report has a wrong format:\n%.3000s", report)
	}
}

func TestWritingTheReportKeepsWhatOtherModesMeasured(t *testing.T) {
	const other = otherModes + "\n| kind | failed |\n"
	for before, want := range map[string]string{
		"# Benchmarks\nold\n":         "# Benchmarks\nnew\n",
		"# Benchmarks\nold\n" + other: "# Benchmarks\nnew\n" + other,
	} {
		if got := rewritten(before, "# Benchmarks\nnew\n"); got != want {
			t.Errorf("%q becomes %q, want %q", before, got, want)
		}
	}
}
