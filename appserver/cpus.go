package appserver

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// autoWorkers returns the number for `workers auto`: the CPUs that this process may
// use, by affinity and by the quota of its cgroups, and at least 2.
func autoWorkers() int {
	n := runtime.NumCPU()
	if q := quotaCPUs("/sys/fs/cgroup", ownCgroup()); q > 0 {
		n = min(n, q)
	}
	return max(n, 2)
}

// ownCgroup returns the path of this process in the unified hierarchy.
func ownCgroup() string {
	b, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(b)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return p
		}
	}
	return "/"
}

// quotaCPUs returns the smallest CPU quota from path up to root, rounded up;
// 0 when there is none. It reads the files of cgroup v2 (cpu.max) and v1.
func quotaCPUs(root, path string) int {
	least := 0
	note := func(quota, period string) {
		q, err1 := strconv.ParseInt(quota, 10, 64)
		p, err2 := strconv.ParseInt(period, 10, 64)
		if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
			return
		}
		if n := int((q-1)/p + 1); least == 0 || n < least {
			least = n
		}
	}
	for dir := filepath.Clean("/" + path); ; dir = filepath.Dir(dir) {
		b, _ := os.ReadFile(filepath.Join(root, dir, "cpu.max"))
		if f := strings.Fields(string(b)); len(f) == 2 {
			note(f[0], f[1])
		}
		if dir == "/" {
			break
		}
	}
	quota, _ := os.ReadFile(filepath.Join(root, "cpu/cpu.cfs_quota_us"))
	period, _ := os.ReadFile(filepath.Join(root, "cpu/cpu.cfs_period_us"))
	note(strings.TrimSpace(string(quota)), strings.TrimSpace(string(period)))
	return least
}
