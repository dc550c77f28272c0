// Package osfile opens files in folders that other users may change.
//
// A process of root must not let another user choose the files that it reads, makes or
// changes: the owner of a folder can put a link, a pipe or a device there. So this package
// acts on a path with the rights of the user who can exchange the file at that path:
//
//	only root may change the folders on the way    root's rights
//	a folder on the way belongs to another user    that user's rights from there on
//	a folder is writable for several users         the rights of the entry's owner
//	a symbolic link belongs to another user        that user's rights
//
// The first user on the way who is not root counts. Links of root are followed. To act
// with another user's rights, one thread takes that user's file system user, group and
// supplementary groups for the time of the operation.
//
// A process that is not root acts with its own rights. So does root on systems other than
// Linux, which are for development: a thread has no rights of its own there. The package
// does not use openat2, which old kernels and some sandboxes do not have.
package osfile

// Files, in the order of the story:
//
//   - user.go thread_linux.go: a user, and acting with its rights
//   - place_linux.go name.go: the file to which a path leads
//   - open.go operations_linux.go read.go readable_linux.go: open, read, make, remove, change
//   - folder.go: folders of the server's own
//   - refusal_unix.go size.go: texts about refused paths and sizes
