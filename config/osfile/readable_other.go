//go:build !linux

package osfile

// Readable returns nil: a thread has no rights of its own here.
func Readable(string, User, int) error { return nil }

// Barred returns "": a thread has no rights of its own here.
func Barred(string, User) string { return "" }

// Unreadable returns false: a thread has no rights of its own here.
func Unreadable(string, User) bool { return false }
