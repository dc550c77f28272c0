package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// clientAttacks are the attacks that any client can make.
func clientAttacks() []attack {
	return []attack{
		{name: "slow-heads", does: "500 heads that come byte by byte", run: dripping(500, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")},
		{name: "slow-bodies", does: "200 uploads that come byte by byte", run: dripping(200, "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")},
		{name: "header-names", does: "heads with 4,500 different names", run: asking(4, headOf(strings.Join(numbered("%x:\r\n", 4500), "")))},
		{name: "long-lists", does: "long lists in every header that has lists", run: asking(4, longLists()...)},
		{name: "ranges", does: "ranges that overlap, overflow, and are many", run: asking(8, rangeHeads()...)},
		{name: "malformed", does: "heads that are not HTTP", run: asking(8, malformedHeads()...)},
		{name: "chunks", does: "chunk extensions without end, and chunks of a byte", run: (*assault).chunks},
		{name: "half-closed", does: "requests whose client has stopped sending and does not read", run: (*assault).halfClosed},
		{name: "leaving", does: "clients that leave a stream after its first byte", run: (*assault).leave},
		{name: "leaving-uploads", does: "clients that leave in the middle of an upload", run: (*assault).leaveUploads},
		{name: "slow-readers", does: "big answers that are read at 10 KB/s", run: (*assault).readSlowly},
		{name: "crumbs", does: "responses of one-byte blocks that nobody reads", run: (*assault).ignoreCrumbs},
		{name: "connections", does: "2,000 idle connections, and others that come and go", run: (*assault).connect},
		{name: "pipelining", does: "hundreds of requests in one write", run: (*assault).pipeline},
		{name: "limited", does: "40 clients that limit_req delays", run: (*assault).queueAtLimit},
		{name: "regex", does: "paths that a regular expression takes long for", run: (*assault).backtrack},
		{name: "tls-stalls", does: "500 TLS handshakes that stop half-way", run: (*assault).stallHandshakes},
		{name: "tls-leaving", does: "200 TLS handshakes a second that the client leaves", run: (*assault).leaveHandshakes},
	}
}

func headOf(fields string) string { return "GET /static/1k HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" }

// numbered returns the format with 0 to n-1 put in.
func numbered(format string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

func longLists() []string {
	var heads []string
	for _, list := range []struct{ name, item, separator string }{
		{"Cookie", "c%d=v", "; "}, {"Accept-Encoding", "gzip;q=0.%d", ","}, {"If-None-Match", `"%d"`, ","}, {"Connection", "x%d", ","},
		{"X-Forwarded-For", "10.0.0.%d", ", "}, {"Forwarded", "for=%d", ", "}, {"TE", "t%d", ","}, {"Accept-Language", "l%d", ","},
	} {
		heads = append(heads, headOf(list.name+": "+strings.Join(numbered(list.item, 7000/len(list.item)), list.separator)+"\r\n"))
	}
	arguments := strings.Join(numbered("a%d=%%41", 700), "&")
	segments := strings.Repeat("/a/..", 1200)
	return append(heads, "GET /?"+arguments+" HTTP/1.1\r\nHost: a\r\n\r\n", "GET "+segments+"/static/1k HTTP/1.1\r\nHost: a\r\n\r\n")
}

func rangeHeads() []string {
	var heads []string
	for _, set := range []string{
		strings.Repeat("0-,", 1500) + "0-", strings.Join(numbered("%[1]d-%[1]d", 900), ","), "9223372036854775808-", "0-99999999999999999999",
		"-99999999999999999999", "5-3", strings.Repeat(",", 6000), "-0", "18446744073709551615-18446744073709551616",
	} {
		heads = append(heads, "GET /static/100k HTTP/1.1\r\nHost: a\r\nRange: bytes="+set+"\r\n\r\n")
	}
	return heads
}

func malformedHeads() []string {
	return []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET / HTTP/9.9\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
		"GET / HTTP/1.1\r\n folded: x\r\n\r\n", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", strings.Repeat("A", 40000), "GET /" + strings.Repeat("%", 7000) + " HTTP/1.1\r\n\r\n",
		"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
		"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 100),
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", strings.Repeat("\r\n", 20000),
	}
}

// with connects from one of the client's addresses and calls use, whose reads and
// writes fail once ctx ends.
func (a *assault) with(ctx context.Context, i int, addr string, use func(net.Conn)) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%clientAddresses))}
	c, err := (&net.Dialer{LocalAddr: from, KeepAlive: -1}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	defer stop()
	defer c.Close()
	use(c)
}

// sent connects, sends text and calls then. It counts as a try, whatever the
// server makes of it.
func (a *assault) sent(ctx context.Context, i int, addr, text string, then func(net.Conn)) {
	a.with(ctx, i, addr, func(c net.Conn) {
		if _, err := io.WriteString(c, text); err == nil {
			a.tries.Add(1)
			then(c)
		}
	})
}

// dripping opens n connections that send the head at once and then a byte at a
// time.
func dripping(n int, head string) func(*assault, context.Context) {
	return func(a *assault, ctx context.Context) {
		each(ctx, n, 10*time.Millisecond, func(i int) {
			a.sent(ctx, i, a.Ordinary, head, func(c net.Conn) {
				var err error
				for err == nil && sleep(ctx, 200*time.Millisecond) {
					_, err = io.WriteString(c, "a")
				}
			})
		})
	}
}

// asking sends the heads in turn from n connections, each up to 50 times a second,
// and reads the answers.
func asking(n int, heads ...string) func(*assault, context.Context) {
	return func(a *assault, ctx context.Context) {
		turns := make([]int, n)
		each(ctx, n, time.Millisecond, func(i int) {
			a.with(ctx, i, a.Ordinary, func(c net.Conn) {
				reader := bufio.NewReader(c)
				for sleep(ctx, 20*time.Millisecond) {
					turns[i]++
					if _, err := io.WriteString(c, heads[(i+turns[i])%len(heads)]); err != nil {
						return // the answer to the last one was the end
					}
					a.tries.Add(1)
					response, err := http.ReadResponse(reader, nil)
					if err != nil {
						return
					}
					if _, err = io.Copy(io.Discard, response.Body); err != nil || response.Close {
						return
					}
				}
			})
		})
	}
}

func (a *assault) chunks(ctx context.Context) {
	const head = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	blocks := []string{"1;" + strings.Repeat("e", 16<<10) + "\r\nx\r\n", strings.Repeat("1\r\nx\r\n", 4000), "1;" + strings.Repeat("e=\"", 5000)}
	each(ctx, 8, 20*time.Millisecond, func(i int) {
		a.sent(ctx, i, a.Ordinary, head, func(c net.Conn) {
			var err error
			for n := 0; n < 4 && err == nil; n++ {
				_, err = io.WriteString(c, blocks[i%len(blocks)])
			}
		})
	})
}

func (a *assault) halfClosed(ctx context.Context) {
	each(ctx, 200, 10*time.Millisecond, func(i int) {
		a.sent(ctx, i, a.Ordinary, "GET /static/10m HTTP/1.1\r\nHost: a\r\n\r\n", func(c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok {
				tcp.CloseWrite()
			}
			sleep(ctx, time.Second)
		})
	})
}

func (a *assault) leave(ctx context.Context) {
	each(ctx, 2, 200*time.Millisecond, func(i int) {
		a.sent(ctx, i, a.Ordinary, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", func(c net.Conn) { c.Read(make([]byte, 1)) })
	})
}

func (a *assault) leaveUploads(ctx context.Context) {
	half := "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n" + strings.Repeat("x", 200000)
	each(ctx, 4, 20*time.Millisecond, func(i int) {
		a.sent(ctx, i, a.Ordinary, half, func(c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok && i%2 == 0 {
				tcp.SetLinger(0)
			}
		})
	})
}

// readSlowly asks for files and for the application's big answers. They come one
// after the other, so that the load is that of slow readers, not of their arrival.
func (a *assault) readSlowly(ctx context.Context) {
	each(ctx, 40, time.Millisecond, func(i int) {
		path := "/static/10m"
		if i%4 == 0 {
			path = "/big"
		}
		if !sleep(ctx, time.Duration(i)*50*time.Millisecond) {
			return
		}
		a.sent(ctx, i, a.Ordinary, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n", func(c net.Conn) {
			block := make([]byte, 1<<10)
			var err error
			for err == nil && sleep(ctx, 100*time.Millisecond) {
				_, err = io.ReadFull(c, block)
			}
		})
	})
}

func (a *assault) ignoreCrumbs(ctx context.Context) {
	each(ctx, 3, 300*time.Millisecond, func(i int) {
		a.sent(ctx, i, a.Ordinary, "GET /crumbs HTTP/1.1\r\nHost: a\r\n\r\n", func(c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok {
				tcp.SetReadBuffer(1)
			}
			sleep(ctx, time.Second)
		})
	})
}

func (a *assault) connect(ctx context.Context) {
	var idle sync.WaitGroup
	idle.Go(func() {
		each(ctx, 2000, 10*time.Millisecond, func(i int) {
			a.with(ctx, i, a.Ordinary, func(c net.Conn) { c.Read(make([]byte, 1)) })
		})
	})
	each(ctx, 8, time.Millisecond, func(i int) {
		a.with(ctx, i, a.Ordinary, func(net.Conn) { a.tries.Add(1) })
	})
	idle.Wait()
}

// pipeline sends requests for files, and few for pages: those are the
// application's own work, which anybody may ask for.
func (a *assault) pipeline(ctx context.Context) {
	files := strings.Repeat("GET /static/1k HTTP/1.1\r\nHost: a\r\n\r\n", 500)
	pages := strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 500)
	each(ctx, 6, 20*time.Millisecond, func(i int) {
		text := files
		if i == 0 {
			text = pages
		}
		a.sent(ctx, i, a.Ordinary, text, func(c net.Conn) {
			if sleep(ctx, 50*time.Millisecond) {
				c.SetReadDeadline(time.Now().Add(time.Second))
				io.CopyN(io.Discard, c, 500<<10)
			}
		})
	})
}

func drain(c net.Conn) { io.Copy(io.Discard, c) }

func (a *assault) queueAtLimit(ctx context.Context) {
	each(ctx, 40, time.Millisecond, func(i int) {
		a.sent(ctx, i, a.Limited, "GET /limited HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", drain)
	})
}

func (a *assault) backtrack(ctx context.Context) {
	request := "GET /" + strings.Repeat("a/", 30) + strings.Repeat("b", 30) + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	each(ctx, 4, 20*time.Millisecond, func(i int) { a.sent(ctx, i, a.Limited, request, drain) })
}

func (a *assault) stallHandshakes(ctx context.Context) {
	hello, err := newHello()
	if err != nil {
		return
	}
	each(ctx, 500, 10*time.Millisecond, func(i int) {
		record := string(hello.record)
		a.sent(ctx, i, a.Secure, record[:len(record)/(1+i%2)], func(net.Conn) { sleep(ctx, time.Minute) })
	})
}

func (a *assault) leaveHandshakes(ctx context.Context) {
	hello, err := newHello()
	if err != nil {
		return
	}
	each(ctx, 4, 20*time.Millisecond, func(i int) { a.sent(ctx, i, a.Secure, string(hello.record), func(net.Conn) {}) })
}
