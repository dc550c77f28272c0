package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// machine is what the results come from: hardware, system and versions.
type machine struct {
	lines []string
}

// String returns a Markdown list.
func (m machine) String() string {
	return "- " + strings.Join(m.lines, "\n- ") + "\n"
}

// describe collects facts of the machine, and the versions of all that runs: servers,
// backends of the cases, packages of Python, and wrk.
func describe(peers []peer, cases []benchCase) (machine, error) {
	kernel, err := exec.Command("uname", "-srm").Output()
	if err != nil {
		return machine{}, fmt.Errorf("cannot ask for the kernel's version: %w", err)
	}
	m := machine{lines: []string{
		fmt.Sprintf("%d cores, %s", runtime.NumCPU(), valueIn("/proc/cpuinfo", "model name")),
		"memory: " + valueIn("/proc/meminfo", "MemTotal"),
		"kernel: " + strings.TrimSpace(string(kernel)),
		"system: " + strings.Trim(valueIn("/etc/os-release", "PRETTY_NAME"), `"`),
		runtime.Version(),
		"load average before: " + loadAverage(),
	}}
	for _, p := range peers {
		version, err := p.version()
		if err != nil {
			return machine{}, err
		}
		m.lines = append(m.lines, p.name+": "+version)
	}
	if err := m.addBackends(cases); err != nil {
		return machine{}, err
	}
	for _, ask := range []string{
		"import sys; print('Python', sys.version.split()[0])",
		"from importlib.metadata import version; print('Flask', version('flask'))",
		"from importlib.metadata import version; print(', '.join(f'{n} {version(n)}' for n in ('fastapi', 'uvloop', 'httptools')))",
	} {
		out, err := exec.Command(python, "-c", ask).Output()
		if err != nil {
			return machine{}, fmt.Errorf("cannot run %s: %w", python, err)
		}
		m.lines = append(m.lines, strings.TrimSpace(string(out)))
	}
	m.lines = append(m.lines, wrkVersion())
	return m, nil
}

// addBackends adds the version of each program that is a backend.
func (m *machine) addBackends(cases []benchCase) error {
	for _, c := range cases {
		if c.backend == "" || backendNamed(c.backend).version == nil {
			continue
		}
		version, err := backendNamed(c.backend).version()
		if err != nil {
			return err
		}
		if line := "backend: " + version; !slices.Contains(m.lines, line) {
			m.lines = append(m.lines, line)
		}
	}
	return nil
}

// wrkVersion returns the version in the first line of "wrk -v", which exits with 1.
func wrkVersion() string {
	out, _ := exec.Command("wrk", "-v").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	first, _, _ = strings.Cut(first, "[")
	return strings.TrimSpace(first)
}

// loadAverage returns the machine's load average of the last 1, 5 and 15 minutes.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(data))
	if err != nil || len(words) < 3 {
		return "unknown"
	}
	return strings.Join(words[:3], ", ")
}

// valueIn returns the value of the first "name : value" or "name=value" line of
// a file, or "unknown".
func valueIn(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, " \t:="))
		}
	}
	return "unknown"
}
