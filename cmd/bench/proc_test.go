package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const tail = " S 7 42 42 0 -1 4194560 1017 0 0 0 10 20 3 4 20 0 1 0 3030 0 0"
	tests := []struct {
		name, line string
		pid        int
		fails      bool
	}{
		{"plain", "42 (nginx)" + tail, 42, false},
		{"spaces and parentheses in the name", "43 (a) S (b c))" + tail, 43, false},
		{"newline at the end", "44 (python3)" + tail + "\n", 44, false},
		{"empty", "", 0, true},
		{"no name", "42 nginx" + tail, 0, true},
		{"cut off", "42 (nginx) S 7 42", 0, true},
		{"pid is no number", "x (nginx)" + tail, 0, true},
		{"parent is no number", "42 (nginx) S x 42 42 0 -1 4194560 1017 0 0 0 10 20 3 4 20", 0, true},
		{"time is no number", "42 (nginx) S 7 42 42 0 -1 4194560 1017 0 0 0 x 20 3 4 20", 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := parseStat(test.line)
			if test.fails {
				if err == nil {
					t.Fatalf("parseStat = %+v, want an error", s)
				}
				return
			}
			want := processStat{pid: test.pid, parent: 7, cpu: 370 * time.Millisecond}
			if err != nil || s != want {
				t.Errorf("parseStat = %+v, %v, want %+v", s, err, want)
			}
		})
	}
}

// writeProcess adds a process to a made-up /proc. A negative pss leaves out its
// smaps_rollup.
func writeProcess(t *testing.T, proc procfs, pid, parent, ticks, pss int) {
	t.Helper()
	dir := filepath.Join(string(proc), strconv.Itoa(pid))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"stat":  fmt.Sprintf("%d (x) S %d 0 0 0 0 0 0 0 0 0 %d 0 0 0 20 0 1", pid, parent, ticks),
		"statm": "100 2 1 1 0 1 0\n",
	}
	if pss >= 0 {
		files["smaps_rollup"] = fmt.Sprintf("5-7 ---p 00 00:00 0 [rollup]\nRss:    999 kB\nPss:    %d kB\nPss_Dirty:  1 kB\n", pss)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUsageSumsOverTheTreeOnly(t *testing.T) {
	proc := procfs(t.TempDir())
	writeProcess(t, proc, 10, 1, 1, 100)
	writeProcess(t, proc, 11, 10, 2, 10)
	writeProcess(t, proc, 12, 11, 4, 1)
	writeProcess(t, proc, 20, 1, 8, 1000)
	writeProcess(t, proc, 30, 1, 16, 5000)
	writeProcess(t, proc, 31, 30, 32, 5000)
	u, err := proc.usage(10, 20)
	want := usage{cpu: 150 * time.Millisecond, memory: 1111 << 10, memoryBy: "PSS", processes: 4}
	if err != nil || u != want {
		t.Errorf("usage = %+v, %v, want %+v", u, err, want)
	}
}

func TestUsageFallsBackToResidentMemory(t *testing.T) {
	proc := procfs(t.TempDir())
	writeProcess(t, proc, 10, 1, 1, 100)
	writeProcess(t, proc, 11, 10, 2, 10)
	// A directory in the file's place cannot be read, as another user's file.
	if err := os.Remove(proc.path(11, "smaps_rollup")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(proc.path(11, "smaps_rollup"), 0o755); err != nil {
		t.Fatal(err)
	}
	u, err := proc.usage(10)
	want := int64(4 * os.Getpagesize())
	if err != nil || u.memory != want || u.memoryBy != "RSS" {
		t.Errorf("usage = %+v, %v, want %d bytes by RSS", u, err, want)
	}
}

func TestTreeListsParentsFirstAndLeavesOutTheDead(t *testing.T) {
	proc := procfs(t.TempDir())
	writeProcess(t, proc, 30, 9, 0, 0)
	writeProcess(t, proc, 5, 30, 0, 0)
	writeProcess(t, proc, 40, 5, 0, 0)
	tests := []struct {
		name  string
		roots []int
		want  []int
	}{
		{"a chain", []int{30}, []int{30, 5, 40}},
		{"a leaf", []int{40}, []int{40}},
		{"a root that is gone", []int{77}, nil},
		{"two roots", []int{40, 77}, []int{40}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree, err := proc.tree(test.roots...)
			if err != nil || !slices.Equal(tree, test.want) {
				t.Errorf("tree(%v) = %v, %v, want %v", test.roots, tree, err, test.want)
			}
		})
	}
}
