package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const wrkReport = `Running 4s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.13ms  501.00us   9.34ms   88.05%
    Req/Sec    14.36k     1.02k   16.21k    72.50%
  Latency Distribution
     50%  980.00us
     75%    2.32ms
     90%    2.55ms
     99%    1.02s 
  57142 requests in 4.01s, 9.21MB read
`

const wrkRates = `Requests/sec:  14249.87
Transfer/sec:      2.30MB
`

func TestParseWrkReadsItsReport(t *testing.T) {
	tests := []struct {
		name   string
		out    string
		errors []string
	}{
		{"clean", wrkReport + wrkRates, nil},
		{"socket errors", wrkReport + "  Socket errors: connect 0, read 3, write 0, timeout 1\n" + wrkRates,
			[]string{"Socket errors: connect 0, read 3, write 0, timeout 1"}},
		{"both kinds of errors", wrkReport + "  Socket errors: connect 1, read 0, write 0, timeout 0\n" +
			"  Non-2xx or 3xx responses: 12\n" + wrkRates,
			[]string{"Socket errors: connect 1, read 0, write 0, timeout 0", "Non-2xx or 3xx responses: 12"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := parseWrk(test.out)
			if err != nil {
				t.Fatal(err)
			}
			if r.requests != 57142 || r.rate != 14249.87 || r.p50 != 980*time.Microsecond || r.p99 != 1020*time.Millisecond {
				t.Errorf("parseWrk = %+v, want requests 57142, rate 14249.87, p50 %v and p99 %v", r, 980*time.Microsecond, 1020*time.Millisecond)
			}
			if !slices.Equal(r.errors, test.errors) {
				t.Errorf("errors are %q, want %q", r.errors, test.errors)
			}
		})
	}
}

func TestParseWrkRefusesAnIncompleteReport(t *testing.T) {
	for name, out := range map[string]string{
		"empty":            "",
		"without rates":    wrkReport,
		"without latency":  strings.ReplaceAll(wrkReport, "99%", "  ") + wrkRates,
		"unreadable time":  strings.ReplaceAll(wrkReport, "980.00us", "fast") + wrkRates,
		"unreadable count": strings.ReplaceAll(wrkReport, "57142", "many") + wrkRates,
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := parseWrk(out); err == nil {
				t.Errorf("parseWrk = %+v, want an error", r)
			}
		})
	}
}
