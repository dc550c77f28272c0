package keeper

import (
	"encoding/binary"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Parts of sock_diag(7), as linux/inet_diag.h has them.
const (
	diagRequest   = 56      // bytes of struct inet_diag_req_v2
	diagAnswer    = 72      // bytes of struct inet_diag_msg
	diagListening = 1 << 10 // TCP_LISTEN, as a bit of idiag_states
	diagGroup     = 21      // INET_DIAG_CGROUP_ID
	diagPort      = 8       // where the request has the source port
	mostAnswers   = 64      // bound on the datagrams that are read for one request
	diagPatience  = 500_000 // microseconds that an answer may take
	groupRoot     = "/sys/fs/cgroup"
	mostGroups    = 20_000 // bound on the control groups that are looked at
)

// listeningGroups returns the control groups of the sockets that listen on port,
// as far as the kernel (5.9 or newer) reports them.
func listeningGroups(port uint16) (ids []uint64) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	wait := unix.NsecToTimeval(diagPatience * 1000)
	if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait) != nil {
		return nil
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if unix.Sendto(fd, listeningQuestion(family, port), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
			return ids
		}
		ids = appendGroups(ids, fd, port)
	}
	return ids
}

// listeningQuestion is a request for the sockets of family that listen on port.
func listeningQuestion(family byte, port uint16) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+diagRequest)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	r := b[unix.SizeofNlMsghdr:]
	r[0], r[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(r[4:], diagListening)
	binary.BigEndian.PutUint16(r[diagPort:], port)
	return b
}

// appendGroups reads the answer to a question.
func appendGroups(ids []uint64, fd int, port uint16) []uint64 {
	b := make([]byte, 32<<10)
	for range mostAnswers {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil {
			return ids
		}
		messages, err := syscall.ParseNetlinkMessage(b[:n])
		if err != nil {
			return ids
		}
		for _, m := range messages {
			if m.Header.Type != unix.SOCK_DIAG_BY_FAMILY {
				return ids // the end, or an error
			}
			if id, ok := groupIn(m.Data, port); ok && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// groupIn returns the control group that one answer names.
func groupIn(answer []byte, port uint16) (id uint64, ok bool) {
	if len(answer) < diagAnswer || binary.BigEndian.Uint16(answer[4:]) != port {
		return 0, false
	}
	for rest := answer[diagAnswer:]; len(rest) >= unix.SizeofRtAttr; {
		length, kind := int(binary.NativeEndian.Uint16(rest)), binary.NativeEndian.Uint16(rest[2:])
		if length < unix.SizeofRtAttr || length > len(rest) {
			return 0, false
		}
		if kind == diagGroup && length >= unix.SizeofRtAttr+8 {
			return binary.NativeEndian.Uint64(rest[unix.SizeofRtAttr:]), true
		}
		rest = rest[min((length+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1), len(rest)):]
	}
	return 0, false
}

// groupFolder returns the folder of a control group, whose inode number is the group's.
func groupFolder(id uint64) (dir string) {
	left := mostGroups
	_ = filepath.WalkDir(groupRoot, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil
		}
		if left--; left < 0 {
			return fs.SkipAll
		}
		var st unix.Stat_t
		var on unix.Statfs_t
		if unix.Lstat(path, &st) == nil && st.Ino == id && unix.Statfs(path, &on) == nil && on.Type == unix.CGROUP2_SUPER_MAGIC {
			dir = path
			return fs.SkipAll
		}
		return nil
	})
	return dir
}
