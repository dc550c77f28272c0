//go:build unix

package osfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The uses of a file for Refusal.
const (
	ToRead  = 4
	ToWrite = 2
)

// Refusal returns ": " and a sentence about the first part of an absolute name that is
// missing, or that this process may not enter or use: "/home/ubuntu" is 0750 and belongs to
// ubuntu:ubuntu; the server runs as www-data. It is for messages about a call that has
// failed. It returns "" if only name itself is missing, or nothing refuses it.
func Refusal(name string, use uint32) string {
	if why := refusing(name, use); why != "" {
		return ": " + why
	}
	return ""
}

func refusing(name string, use uint32) string {
	parts := strings.Split(strings.Trim(filepath.Clean(name), "/"), "/")
	for i := range parts {
		path := "/" + strings.Join(parts[:i+1], "/")
		last := i == len(parts)-1
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && last:
			return ""
		case errors.Is(err, fs.ErrNotExist):
			return strconv.Quote(path) + " does not exist"
		case err != nil:
			return ""
		case !last && !info.IsDir():
			return strconv.Quote(path) + " is not a directory"
		}
		need := uint32(1) // search, for a directory on the way
		if last {
			need = use
		}
		if syscall.Access(path, need) != nil {
			return describe(path, info)
		}
	}
	return ""
}

func describe(path string, info os.FileInfo) string {
	owner := ""
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = fmt.Sprintf(" and belongs to %s:%s", userName(int(st.Uid)), groupName(int(st.Gid)))
	}
	return fmt.Sprintf("%q is %04o%s; the server runs as %s", path, info.Mode().Perm(), owner, userName(os.Geteuid()))
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func groupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}
