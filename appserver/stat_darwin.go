package appserver

import "syscall"

// modified returns when the content of a file was last changed, in nanoseconds.
func modified(st *syscall.Stat_t) int64 { return st.Mtimespec.Nano() }

// changed returns when the inode of a file was last changed, in nanoseconds.
func changed(st *syscall.Stat_t) int64 { return st.Ctimespec.Nano() }
