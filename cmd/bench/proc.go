package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, 100 on every
// architecture that Go and Linux share.
const clockTick = time.Second / 100

// proc is the machine's process table.
const proc = procfs("/proc")

// procfs reads process tables as proc(5) describes them, from the directory it names.
type procfs string

// processStat is the part of /proc/PID/stat that measuring needs.
type processStat struct {
	pid, parent int
	// cpu is user and system time, with that of children already waited for, so
	// that a worker replaced during a measurement still counts.
	cpu time.Duration
}

// usage is what a tree of processes has used and holds.
type usage struct {
	cpu       time.Duration
	memory    int64  // bytes
	memoryBy  string // "PSS", or "RSS" where PSS cannot be read
	processes int
}

// parseStat reads a line of /proc/PID/stat. The command's name may contain
// anything, spaces and parentheses too, so fields count from its last one.
func parseStat(line string) (processStat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return processStat{}, fmt.Errorf("cannot read process status %q: no command", line)
	}
	var s processStat
	rest := strings.Fields(line[end+1:])
	if len(rest) < 15 {
		return s, fmt.Errorf("cannot read process status %q: %d fields", line, len(rest))
	}
	var err error
	if s.pid, err = strconv.Atoi(strings.TrimSpace(line[:open])); err != nil {
		return s, fmt.Errorf("cannot read process status %q: %w", line, err)
	}
	if s.parent, err = strconv.Atoi(rest[1]); err != nil {
		return s, fmt.Errorf("cannot read process status %q: %w", line, err)
	}
	for _, field := range rest[11:15] { // utime stime cutime cstime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return s, fmt.Errorf("cannot read process status %q: %w", line, err)
		}
		s.cpu += time.Duration(ticks) * clockTick
	}
	return s, nil
}

// table returns every process. One that ends while it is read is left out.
func (p procfs) table() (map[int]processStat, error) {
	paths, err := filepath.Glob(filepath.Join(string(p), "[0-9]*", "stat"))
	if err != nil {
		return nil, err
	}
	table := make(map[int]processStat, len(paths))
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := parseStat(string(line))
		if err != nil {
			return nil, err
		}
		table[s.pid] = s
	}
	return table, nil
}

// ended reports whether a process has ended, waited for or not.
func (p procfs) ended(pid int) bool {
	line, err := os.ReadFile(p.path(pid, "stat"))
	if err != nil {
		return gone(err)
	}
	_, rest, _ := strings.Cut(string(line[strings.LastIndexByte(string(line), ')')+1:]), " ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

// startOf returns when a process started, in the system's own unit; empty if there
// is none.
func (p procfs) startOf(pid int) string {
	line, err := os.ReadFile(p.path(pid, "stat"))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// tree returns the roots that exist and all their descendants, parents first.
func (p procfs) tree(roots ...int) ([]int, error) {
	table, err := p.table()
	if err != nil {
		return nil, err
	}
	return descendants(table, roots), nil
}

func descendants(table map[int]processStat, roots []int) []int {
	children := make(map[int][]int)
	for pid, s := range table {
		children[s.parent] = append(children[s.parent], pid)
	}
	var tree []int
	queue := roots
	for len(queue) > 0 {
		pid := queue[0]
		queue = append(queue[1:len(queue):len(queue)], children[pid]...)
		if _, ok := table[pid]; ok {
			tree = append(tree, pid)
		}
	}
	return tree
}

// usage sums CPU time and memory over roots and their descendants.
func (p procfs) usage(roots ...int) (usage, error) {
	table, err := p.table()
	if err != nil {
		return usage{}, err
	}
	tree := descendants(table, roots)
	u := usage{processes: len(tree)}
	for _, pid := range tree {
		u.cpu += table[pid].cpu
	}
	u.memory, u.memoryBy, err = p.memory(tree)
	return u, err
}

// memory sums the proportional set sizes, where pages shared by n processes
// count 1/n in each, or the resident ones when any of the former is unreadable.
func (p procfs) memory(pids []int) (bytes int64, by string, err error) {
	var pss, rss int64
	by = "PSS"
	for _, pid := range pids {
		resident, err := p.resident(pid)
		if gone(err) {
			continue
		}
		if err != nil {
			return 0, "", err
		}
		rss += resident
		proportional, err := p.proportional(pid)
		if err != nil && !gone(err) {
			by = "RSS"
		}
		pss += proportional
	}
	if by == "RSS" {
		return rss, by, nil
	}
	return pss, by, nil
}

func (p procfs) resident(pid int) (int64, error) {
	data, err := os.ReadFile(p.path(pid, "statm"))
	if err != nil {
		return 0, err
	}
	sizes := strings.Fields(string(data))
	if len(sizes) < 2 {
		return 0, fmt.Errorf("cannot read %s: %q", p.path(pid, "statm"), data)
	}
	pages, err := strconv.ParseInt(sizes[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

func (p procfs) proportional(pid int) (int64, error) {
	data, err := os.ReadFile(p.path(pid, "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("cannot find Pss in %s", p.path(pid, "smaps_rollup"))
}

// command returns a process's arguments, joined by spaces.
func (p procfs) command(pid int) string {
	data, err := os.ReadFile(p.path(pid, "cmdline"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(string(data), "\x00", " "))
}

func (p procfs) path(pid int, name string) string {
	return filepath.Join(string(p), strconv.Itoa(pid), name)
}

// gone reports whether reading failed because the process has ended meanwhile.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
