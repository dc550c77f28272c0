package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// explainListen turns a failed bind into one sentence that helps.
func explainListen(network, address string, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if who := portHolder(network, address); who != "" {
			return fmt.Errorf("cannot listen on %s: the port is in use by %s", address, who)
		}
		return fmt.Errorf("cannot listen on %s: the port is in use", address)
	case errors.Is(err, unix.EACCES):
		exe, _ := os.Executable()
		return fmt.Errorf("cannot listen on %s: ports below 1024 need a permission; run \"sudo setcap cap_net_bind_service=+ep %s\", or set AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit", address, exe)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: this machine does not have the address", address)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}

// portHolder names the process that listens on address's port, as far as
// /proc shows it: "nginx (pid 123)". "" when it cannot be seen.
func portHolder(network, address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if inode := listeningInode(table, port); inode != "" {
			if who := socketOwner(inode); who != "" {
				return who
			}
		}
	}
	return ""
}

func listeningInode(table, port string) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer f.Close()
	n, _ := strconv.Atoi(port)
	suffix := ":" + strings.ToUpper(hex.EncodeToString([]byte{byte(n >> 8), byte(n)}))
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		const listening = "0A"
		if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == listening {
			return fields[9]
		}
	}
	return ""
}

func socketOwner(inode string) string {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	want := "socket:[" + inode + "]"
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == want {
			pid := strings.Split(link, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), pid)
		}
	}
	return ""
}
