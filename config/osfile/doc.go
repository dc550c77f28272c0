// Package osfile opens files in folders that other users may change.
//
// A process of root must not let another user choose what it reads, makes or
// changes: whoever owns a folder can put a link, a pipe or a device there. The
// rule is: a user who could exchange what stands at a path is the one whose
// rights apply to it.
//
//	only root may change the folders on the way    root's rights
//	a folder on the way belongs to another user    that user's rights from there on
//	a folder is writable for several users         the rights of the entry's owner
//	a symbolic link belongs to another user        that user's rights
//
// The first foreign user on the way counts. Root's own links are followed.
// Acting with another user's rights means that user's file system user, group
// and supplementary groups, on one thread, for the time of the operation.
//
// A process that is not root acts with its own rights. So does root on other
// systems than Linux: there a thread cannot have rights of its own, and servers
// are for development. Nothing depends on openat2, which old kernels and some
// sandboxes lack.
package osfile

// Files, in the order of the story:
//
//   - user.go thread_linux.go: whose rights
//   - place_linux.go name.go: where a path leads
//   - open.go operations_linux.go read.go readable_linux.go: what can be done there
//   - folder.go: folders of the server's own
