package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holdings is what processes hold at one moment.
type holdings struct {
	pss, rss    int64 // bytes; pss is 0 where another user's cannot be read
	threads     int
	descriptors int
	processes   int
}

// holdings sums over pids. One that has ended holds nothing.
func (p procfs) holdings(pids ...int) (holdings, error) {
	var sum holdings
	for _, pid := range pids {
		h, err := p.holdingsOf(pid)
		if gone(err) {
			continue
		}
		if err != nil {
			return sum, err
		}
		sum.pss += h.pss
		sum.rss += h.rss
		sum.threads += h.threads
		sum.descriptors += h.descriptors
		sum.processes++
	}
	return sum, nil
}

func (p procfs) holdingsOf(pid int) (h holdings, err error) {
	if h.rss, err = p.resident(pid); err != nil {
		return h, err
	}
	if h.pss, err = p.proportional(pid); err != nil && !os.IsPermission(err) {
		return h, err
	}
	status, err := os.ReadFile(p.path(pid, "status"))
	if err != nil {
		return h, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "Threads:"); ok {
			if h.threads, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return h, fmt.Errorf("cannot read %s: %w", p.path(pid, "status"), err)
			}
		}
	}
	descriptors, err := os.ReadDir(filepath.Join(p.path(pid, "fd")))
	h.descriptors = len(descriptors)
	return h, err
}

// String returns the figures in a line.
func (h holdings) String() string {
	return fmt.Sprintf("PSS %7s, RSS %7s, threads %d, descriptors %d, processes %d",
		mebibytes(h.pss), mebibytes(h.rss), h.threads, h.descriptors, h.processes)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
