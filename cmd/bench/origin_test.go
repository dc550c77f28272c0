package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

func TestTheOriginAnswersFromMemory(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "o.sock")
			}
			o, err := newOrigin(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer o.close()
			conn, err := net.Dial(network, o.listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(requestDeadline))
			answers := bufio.NewReader(conn)
			want := func(sent, body string) {
				t.Helper()
				if _, err := io.WriteString(conn, sent); err != nil {
					t.Fatal(err)
				}
				if body == "" {
					return
				}
				res, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				if err != nil || res.StatusCode != 200 || string(got) != body {
					t.Errorf("after %q: %s, %.40q, %v; want StatusCode 200 and %.40q", sent, res.Status, got, err, body)
				}
			}
			want("GET / HTTP/1.1\r\nHost: x\r\n\r\n", helloText)
			want("GET /10k HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo", string(tenKiB()))
			want("st: x\r\n\r\n", helloText)
			want("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", helloText)
			if n, err := answers.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("behind the last answer: %d bytes, %v; want %v", n, err, io.EOF)
			}
		})
	}
}

func TestTheOriginEndsWithItsConnections(t *testing.T) {
	o, err := newOrigin("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", o.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(requestDeadline))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Fatal(err)
	}
	if err := o.close(); err != nil {
		t.Error(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("the connection gives %d bytes after the origin has ended", n)
	}
}
