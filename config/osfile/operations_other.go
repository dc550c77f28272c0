//go:build !linux

package osfile

import (
	"io/fs"
	"os"
	"syscall"
)

// Open opens path as os.OpenFile does, but never waits for a pipe's other end.
func Open(path string, flags int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flags|syscall.O_NONBLOCK|syscall.O_NOCTTY, perm)
}

// Append opens path for appending, and makes the file if it is missing.
func Append(path string, perm fs.FileMode) (f *os.File, decider User, err error) {
	f, err = Open(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, perm)
	return f, User{}, err
}

// Do runs f.
func Do(_ string, f func() error) error { return f() }

// Decider returns the zero User: this process acts with its own rights.
func Decider(string) (User, error) { return User{}, nil }

// MkdirAll makes the folder path, and those on the way, as os.MkdirAll does.
func MkdirAll(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }

// Remove removes the file at path.
func Remove(path string) error { return os.Remove(path) }

// Chmod changes the mode of the socket at path.
func Chmod(path string, mode fs.FileMode) error { return os.Chmod(path, mode) }

// GiveSocket changes the owner of the socket at path to u.
func GiveSocket(path string, u User) error { return os.Lchown(path, u.UID, u.GID) }

// Do runs f.
func (u User) Do(f func() error) error { return f() }
