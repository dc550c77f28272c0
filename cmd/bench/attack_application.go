package main

import (
	"context"
	"io"
	"net"
	"time"
)

// applicationAttacks are the attacks of an application that runs beside others. Each
// request for one of its paths is one attack.
func applicationAttacks() []attack {
	way := func(name, path, does string) attack {
		return attack{name: name, does: does, run: visiting(path)}
	}
	siblings := way("kills", "/siblings", "it kills the workers that its user may kill")
	siblings.separate = true
	return []attack{
		way("crashes", "/crash", "it crashes at every request"),
		way("leaves", "/leave", "it exits at every request"),
		way("hangs", "/hang", "it answers nothing"),
		way("spins", "/spin", "it computes without end"),
		way("deaf", "/deaf", "it blocks every signal and answers nothing"),
		way("stops", "/stop", "it stops itself"),
		way("talks", "/talk", "it prints 2 MB at every request"),
		way("one-line", "/one_line", "it prints lines of 1 MB without an end"),
		way("grows", "/grow", "it takes 256 MB at every request"),
		way("forks", "/fork", "it leaves children behind that keep its descriptors"),
		siblings,
		way("lies", "/lie", "it writes noise into its sockets"),
		way("blocks", "/block", "it makes the sockets that it shares with the server block"),
		way("scribbles", "/scribble", "it writes noise into the memory that it shares with the server"),
		way("descriptors", "/open_all", "it opens every descriptor that it may"),
		way("header-flood", "/many_headers", "it answers with 20,000 headers"),
		way("endless", "/endless", "its answers do not end"),
	}
}

// visiting asks the hostile application for a path, 20 times a second unless it
// takes longer.
func visiting(path string) func(*assault, context.Context) {
	return func(a *assault, ctx context.Context) {
		each(ctx, 4, 200*time.Millisecond, func(i int) {
			a.sent(ctx, i, a.Hostile, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", func(c net.Conn) {
				io.CopyN(io.Discard, c, 1<<20)
			})
		})
	}
}
