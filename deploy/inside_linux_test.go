package deploy_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// answer is what GET gives once something answers.
func (c *container) answer(address, path string) (text string) {
	await(c.t, "nothing answers on "+address, func() bool {
		text = c.request(address, "GET "+path+" HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
		return text != "" || c.hasEnded()
	})
	return text
}

// request gives the answer to text; "" when nothing listens, or when the
// connection is cut.
func (c *container) request(address, text string) string {
	nc, err := c.dial(address)
	if err != nil {
		return ""
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	io.WriteString(nc, text)
	answer, _ := io.ReadAll(bufio.NewReader(nc))
	if len(answer) == 0 {
		return "cut off"
	}
	return string(answer)
}

// isUnprivileged: process 1 and all others are that user's, without any
// capability.
func (c *container) isUnprivileged(uid int) {
	c.t.Helper()
	for pid, status := range c.processes() {
		for _, want := range []string{fmt.Sprintf("\nUid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", uid), "\nCapEff:\t0000000000000000\n", "\nNoNewPrivs:\t1\n"} {
			if !strings.Contains(status, want) {
				c.t.Errorf("process %s has not %q: %s", pid, want, status)
			}
		}
	}
}

// processes are the statuses of the container's processes by their numbers there.
func (c *container) processes() map[string]string {
	c.t.Helper()
	ours, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	found := map[string]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, file := range files {
		if theirs, err := os.Readlink(file); err != nil || theirs != ours {
			continue
		}
		status, err := os.ReadFile(strings.TrimSuffix(file, "ns/pid") + "status")
		m := regexp.MustCompile(`\nNSpid:.*\t(\d+)\n`).FindStringSubmatch(string(status))
		if err == nil && m != nil {
			found[m[1]] = string(status)
		}
	}
	if found["1"] == "" {
		c.t.Errorf("process 1 is not among %v", maps.Keys(found))
	}
	return found
}

// inside runs a command in the running container, as docker exec.
func (c *container) inside(args ...string) (string, error) {
	pid := itoa(c.cmd.Process.Pid)
	cmd := exec.Command("nsenter", append([]string{"-t", pid, "-p", "-n", "-m", "-r", "-w", "-S", itoa(c.UID), "-G", itoa(c.GID), "--"}, args...)...)
	cmd.Env = c.Env
	out, err := cmd.CombinedOutput()
	return string(out), err
}
