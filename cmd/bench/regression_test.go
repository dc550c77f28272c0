package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// paired makes a table of two servers whose rounds have these ratios. A CPU ratio
// of 0 stands for times too short to be measured.
func paired(title string, rates, cpu []float64) table {
	own, before := series{server: "alicorn"}, series{server: "before"}
	for i := range rates {
		own.samples = append(own.samples, sample{rate: 1000 * rates[i], cpu: 10 * cpu[i]})
		of := 10.0
		if cpu[i] == 0 {
			of = 0
		}
		before.samples = append(before.samples, sample{rate: 1000, cpu: of})
	}
	return table{title: title, connections: 32, rows: []series{own, before}}
}

func TestTheRuleOfBuilds(t *testing.T) {
	same := []float64{1, 1, 1}
	tests := []struct {
		name   string
		tables []table
		broken string // part of the error, or empty
	}{
		{"equal", []table{paired("a", same, same)}, ""},
		{"a case at its bound", []table{paired("a", same, same), paired("b", same, same), paired("c", same, same), paired("d", []float64{0.94, 0.94, 0.94}, same)}, ""},
		{"a case below it", []table{paired("a", []float64{2, 2, 2}, same), paired("b", []float64{0.9, 0.9, 0.9}, same)}, "b, 32 connections: 0.900 by rate"},
		{"noise, and CPU is equal", []table{paired("a", []float64{0.7, 0.9, 1.2}, same), paired("b", []float64{1.2, 1.2, 1.2}, same)}, ""},
		{"noise, and CPU is higher", []table{paired("a", []float64{0.7, 0.9, 1.2}, []float64{1.2, 1.2, 1.2}), paired("b", []float64{1.2, 1.2, 1.2}, same)}, "decided by CPU"},
		{"noise smaller than the gap", []table{paired("a", []float64{0.69, 0.7, 0.71}, same), paired("b", []float64{2, 2, 2}, same)}, "decided by rate"},
		{"the mean alone", []table{paired("a", []float64{0.96, 0.96, 0.96}, same), paired("b", []float64{0.97, 0.97, 0.97}, same)}, "geometric mean is 0.965"},
		{"a noisy mean with equal CPU", []table{paired("a", []float64{0.9, 0.96, 1.1}, same), paired("b", []float64{0.9, 0.97, 1.1}, same)}, ""},
		{"CPU too little to be measured", []table{paired("a", []float64{0.7, 0.9, 1.2}, []float64{0, 0, 0}), paired("b", []float64{1.2, 1.2, 1.2}, same)}, "a, 32 connections: 0.900 by rate and NaN by CPU, decided by rate"},
		{"without the build", []table{{title: "a", rows: []series{{server: "alicorn"}, {server: "nginx"}}}}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := against(test.tables, "before").broken()
			if test.broken == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), test.broken) {
				t.Errorf("broken = %v, want one with %q", err, test.broken)
			}
		})
	}
}

func TestTheReportSaysLowestMeanAndVerdict(t *testing.T) {
	var b strings.Builder
	same := []float64{1, 1, 1}
	against([]table{paired("first", []float64{1.1, 1.2, 1.3}, same), paired("second", []float64{0.9, 0.9, 0.9}, []float64{1.5, 1.5, 1.5})}, "before").write(&b)
	for _, want := range []string{
		"## alicorn against before",
		"median of 3 rounds",
		"| first          |          32 | 1.200 |  8.3% | 1.000 | holds by rate |",
		"| second         |          32 | 0.900 |  0.0% | 1.500 | FAILS by rate |",
		"| geometric mean |             | 1.039 |",
		"Lowest: 0.900 (second, 32 connections). Only 3 rounds: the rule needs 15. **Fails**: ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestQuantile(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		q      float64
		want   float64
	}{
		{"middle of one", []float64{4}, 0.5, 4},
		{"middle of two", []float64{4, 2}, 0.5, 3},
		{"lower quarter of five", []float64{5, 1, 4, 2, 3}, 0.25, 2},
		{"highest", []float64{1, 3, 2}, 1, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := quantile(test.values, test.q); got != test.want {
				t.Errorf("quantile = %v, want %v", got, test.want)
			}
		})
	}
}

func TestServersTakeTurns(t *testing.T) {
	if got := turns(0, 3); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("the first round is %v, want %v", got, []int{0, 1, 2})
	}
	if got := turns(1, 3); !slices.Equal(got, []int{2, 1, 0}) {
		t.Errorf("the second round is %v, want %v", got, []int{2, 1, 0})
	}
}

func TestServersByPath(t *testing.T) {
	path, err := filepath.Abs("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, list string
		want       []string
		problem    string
	}{
		{"a build alone is compared with this module's", "before=" + path, []string{"alicorn", "before"}, ""},
		{"two builds", "before=" + path + ",older=" + path, []string{"alicorn", "before", "older"}, ""},
		{"beside a peer", "before=" + path + ",nginx", []string{"before", "nginx"}, ""},
		{"in place of this module's", "alicorn=" + path, []string{"alicorn"}, ""},
		{"a name twice", "a=" + path + ",a=" + path, nil, `server "a" is named twice`},
		{"another server's name", "nginx=" + path, nil, "nginx is another server's name"},
		{"no program there", "before=/none/such", nil, `cannot take /none/such as server "before"`},
		{"no name", "=" + path, nil, `invalid server name ""`},
		{"neither a name nor a path", "befor", nil, `unknown server "befor"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			chosen, _, err := choosePeers(newAlicorn(t.TempDir()), test.list)
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("error is %v, want %q", err, test.problem)
				}
				return
			}
			if got := names(chosen, func(p peer) string { return p.name }); err != nil || got != strings.Join(test.want, ", ") {
				t.Errorf("chosen are %s, %v, want %v", got, err, test.want)
			}
		})
	}
}
