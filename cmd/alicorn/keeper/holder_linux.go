package keeper

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// portHolder names the process that listens on a TCP port, and the command that
// frees the port. A service without CAP_SYS_PTRACE cannot see the descriptors of
// other processes; it goes by the socket's control group.
func portHolder(port uint16) string {
	if h, ok := holderByDescriptor(port); ok {
		return h.String()
	}
	if h, ok := holderByGroup(port); ok {
		return h.String()
	}
	return fmt.Sprintf("another process; \"ss -ltnp sport = :%d\", as root, names it", port)
}

// holder is a process that listens on a port.
type holder struct {
	name string // of the program
	pid  string
	unit string // of systemd; "" where it is not known
}

// String names the holder and how to free the port.
func (h holder) String() string {
	text := fmt.Sprintf("%s (pid %s)", h.name, h.pid)
	if h.unit == "" {
		return text + "; end it, or listen on another port"
	}
	return fmt.Sprintf("%s of %s; \"systemctl disable --now %[2]s\" frees it", text, h.unit)
}

// holderByDescriptor looks for the process that has the listening socket.
func holderByDescriptor(port uint16) (h holder, ok bool) {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeningInodes(table, port, inodes)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue
		}
		inode, socket := strings.CutPrefix(target, "socket:[")
		if !socket || !inodes[strings.TrimSuffix(inode, "]")] {
			continue
		}
		if h, ok := holderOf(strings.Split(link, "/")[2]); ok {
			return h, true
		}
	}
	return holder{}, false
}

// holderByGroup looks for the oldest process of the service that the listening
// socket was made in.
func holderByGroup(port uint16) (h holder, ok bool) {
	for _, id := range listeningGroups(port) {
		dir := groupFolder(id)
		if dir == "" {
			continue
		}
		text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		pids := strings.Fields(string(text))
		slices.SortFunc(pids, func(a, b string) int { return number(a) - number(b) })
		for _, pid := range pids {
			if h, ok := holderOf(pid); ok && h.unit != "" { // a session has programs of all kinds
				return h, true
			}
		}
	}
	return holder{}, false
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // the kernel writes numbers
	return n
}

// holderOf describes a process; it returns false where the process is gone.
func holderOf(pid string) (h holder, ok bool) {
	name, err := os.ReadFile("/proc/" + pid + "/comm")
	if err != nil {
		return holder{}, false
	}
	groups, _ := os.ReadFile("/proc/" + pid + "/cgroup") // without it there is no unit
	for line := range strings.SplitSeq(strings.TrimSpace(string(groups)), "\n") {
		if unit := filepath.Base(line); strings.HasSuffix(unit, ".service") {
			h.unit = unit
		}
	}
	h.name, h.pid = strings.TrimSpace(string(name)), pid
	return h, true
}

// listeningInodes adds the inodes of sockets that listen on port.
func listeningInodes(table string, port uint16, into map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	suffix := fmt.Sprintf(":%04X", port)
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if w := strings.Fields(sc.Text()); len(w) > 9 && w[3] == listening && strings.HasSuffix(w[1], suffix) {
			into[w[9]] = true
		}
	}
}
