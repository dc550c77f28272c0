package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"alicorn/cmd/alicorn/control"
	"alicorn/proxy/proxytest"
)

// Each file in testdata/script is one behaviour, told with a configuration,
// files, requests and the answers expected. Besides testscript's own, there are
// the commands
//
//	run [ARG...]                      start "alicorn run -c alicorn.conf ARG...", wait until it listens
//	serve [ARG...]                    start "alicorn serve ARG...", wait until it listens
//	alicorn ARG...                    run the program to its end
//	http [FLAG...] METHOD URI [FIELD: VALUE]...   print the answer: status line, fields, body
//	raw [-open] [-linger=HOW] FILE    send the file's bytes and, unless -open, no more; print all that comes back;
//	                                  -linger goes on sending, HOW quiet after half a second or busy all the time,
//	                                  and prints "closed" when the server has closed its end meanwhile, or "open"
//	hold METHOD URI                   send a request and read nothing of the answer
//	release                           read what hold left; print "end", "reset" or "timeout"
//	await FILE REGEXP                 wait until the file matches
//	status REGEXP                     wait until "alicorn status --json" matches
//	signal NAME                       send a signal to the server
//	stopped [CODE]                    stop the server if it runs; its exit code
//
// $GATEWAY is an origin that speaks what gateways speak.
// In files, __PORT__ to __PORT3__ are free ports, __WORK__ is the script's
// folder, __CA__ and the like are those of authorityPairs, and a line with only "# directive: NAME" in the script says whose
// end-to-end case it is.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scriptParams(t, filepath.Join("testdata", "script"), patience))
}

// scriptParams has scripts wait for each condition as long as patience.
func scriptParams(t testing.TB, dir string, patience time.Duration) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup:               func(env *testscript.Env) error { return setupScript(t, env, patience) },
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"run":     func(ts *testscript.TestScript, neg bool, args []string) { startServer(ts, neg, "run", args) },
			"serve":   func(ts *testscript.TestScript, neg bool, args []string) { startServer(ts, neg, "serve", args) },
			"alicorn": runAlicorn,
			"http":    sendHTTP,
			"raw":     sendRaw,
			"socket":  openSocket,
			"await":   awaitFile,
			"signal":  signalServer,
			"stopped": stopServer,
			"status":  awaitStatus,
			"hold":    holdRequest,
			"release": releaseHeld,
		},
	}
}

type serverKey struct{}

// scriptServer is the server that a script has started.
type scriptServer struct {
	cmd    *exec.Cmd
	stderr *os.File
	done   chan struct{}
	ports  []string
	held   net.Conn

	patience time.Duration
}

// scriptTB is a test whose cleanups come at the end of one of its scripts.
type scriptTB struct {
	testing.TB
	env *testscript.Env
}

// Cleanup has f called at the end of the script.
func (s scriptTB) Cleanup(f func()) { s.env.Defer(f) }

func setupScript(t testing.TB, env *testscript.Env, patience time.Duration) error {
	srv := &scriptServer{patience: patience}
	env.Values[serverKey{}] = srv
	pairs := []string{"__WORK__", env.WorkDir}
	for i := range 3 {
		port := proxytest.Port(scriptTB{t, env})
		srv.ports = append(srv.ports, port)
		name := "PORT"
		if i > 0 {
			name += strconv.Itoa(i + 1)
		}
		env.Setenv(name, port)
		pairs = append(pairs, "__"+name+"__", port)
	}
	gateway, err := filepath.Abs(filepath.Join("testdata", "gateway.py"))
	if err != nil {
		return err
	}
	env.Setenv("GATEWAY", gateway)
	env.Setenv("RUNTIME_DIRECTORY", filepath.Join(env.WorkDir, "run"))
	env.Setenv("STATE_DIRECTORY", filepath.Join(env.WorkDir, "state"))
	env.Setenv("CACHE_DIRECTORY", filepath.Join(env.WorkDir, "cache"))
	env.Setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
	env.Defer(func() {
		srv.kill()
		endDaemons(env.WorkDir)
	})
	pairs = append(pairs, authorityPairs(t, env, srv.ports)...)
	return prepareFiles(env.WorkDir, strings.NewReplacer(pairs...))
}

// endDaemons stops servers in the background that a failed script has left.
func endDaemons(dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.pid"))
	for _, f := range files {
		if pid, err := readPID(f); err == nil {
			syscall.Kill(pid, syscall.SIGTERM)
		}
	}
}

// prepareFiles fills in ports and lets every user read the folder, since the
// front does not run as root.
func prepareFiles(dir string, r *strings.Replacer) error {
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		old, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(r.Replace(string(old))), 0o644)
	})
}

func serverOf(ts *testscript.TestScript) *scriptServer {
	return ts.Value(serverKey{}).(*scriptServer)
}

func startServer(ts *testscript.TestScript, neg bool, verb string, args []string) {
	if neg {
		ts.Fatalf("use \"! alicorn %s\" for a start that fails", verb)
	}
	srv := serverOf(ts)
	if verb == "run" {
		args = append([]string{"-c", "alicorn.conf"}, args...)
	}
	stderr, err := os.Create(ts.MkAbs("server.log"))
	ts.Check(err)
	srv.stderr = stderr
	srv.cmd = alicornCommand(ts, append([]string{verb}, args...))
	srv.cmd.Stdout, srv.cmd.Stderr = stderr, stderr
	ts.Check(srv.cmd.Start())
	cmd, done := srv.cmd, make(chan struct{}) // the script may start another
	srv.done = done
	go func() { cmd.Wait(); close(done) }()
	srv.awaitListening(ts)
}

func alicornCommand(ts *testscript.TestScript, args []string) *exec.Cmd {
	exe, err := os.Executable()
	ts.Check(err)
	cmd := exec.Command(exe, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY", "TMPDIR"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	for _, pair := range strings.Fields(ts.Getenv("EXTRA")) {
		cmd.Env = append(cmd.Env, pair)
	}
	cmd.Env = append(cmd.Env, reexecEnv+"=1", raceEnv+"="+os.Getenv(raceEnv))
	cmd.WaitDelay = 5 * time.Second // a server in the background must not keep our pipes
	return cmd
}

// serves reports whether the server that has the control socket has started,
// and written the pid file that its configuration names.
func serves(ts *testscript.TestScript, socket string) bool {
	st, err := control.NewClient(socket).Status(context.Background())
	if err != nil || st.Starting {
		return err == nil && st.Stopping
	}
	conf, _ := os.ReadFile(ts.MkAbs("alicorn.conf"))
	name := regexp.MustCompile(`(?m)^\s*pid\s+([^\s;]+);`).FindSubmatch(conf)
	if name == nil || strings.HasSuffix(st.Config, "serve") {
		return true
	}
	text, _ := os.ReadFile(ts.MkAbs(string(name[1])))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return err == nil && pid == st.PID
}

// awaitListening waits until the server serves.
func (s *scriptServer) awaitListening(ts *testscript.TestScript) {
	for deadline := time.Now().Add(2 * s.patience); ; {
		sockets, _ := filepath.Glob(filepath.Join(ts.Getenv("RUNTIME_DIRECTORY"), "control-*.sock"))
		for _, path := range sockets {
			if serves(ts, path) {
				return
			}
		}
		select {
		case <-s.done:
			if s.cmd.ProcessState.Success() { // in the background
				time.Sleep(5 * time.Millisecond)
				break
			}
			ts.Fatalf("alicorn ended with code %d:\n%s", s.cmd.ProcessState.ExitCode(), ts.ReadFile("server.log"))
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			ts.Fatalf("alicorn does not serve in time:\n%s", ts.ReadFile("server.log"))
		}
	}
}

func (s *scriptServer) kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(s.patience):
		s.cmd.Process.Kill()
		<-s.done
	}
	s.stderr.Close()
	s.cmd = nil
}

func runAlicorn(ts *testscript.TestScript, neg bool, args []string) {
	cmd := alicornCommand(ts, args)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("cannot run alicorn: %v", err)
	}
	ts.Setenv("code", strconv.Itoa(cmd.ProcessState.ExitCode()))
	if (err != nil) != neg {
		ts.Fatalf("alicorn %s: exit code %d", strings.Join(args, " "), cmd.ProcessState.ExitCode())
	}
}

func stopServer(ts *testscript.TestScript, neg bool, args []string) {
	s := serverOf(ts)
	if s.cmd == nil {
		ts.Fatalf("no server was started")
	}
	cmd := s.cmd
	s.kill()
	want := 0
	if len(args) > 0 {
		want, _ = strconv.Atoi(args[0])
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		ts.Fatalf("alicorn ended with %v, not with code %d:\n%s", cmd.ProcessState, want, ts.ReadFile("server.log"))
	}
}

func signalServer(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "HUP": syscall.SIGHUP,
		"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "TTIN": syscall.SIGTTIN, "TTOU": syscall.SIGTTOU, "WINCH": syscall.SIGWINCH, "KILL": syscall.SIGKILL}
	sig, ok := signals[args[0]]
	if !ok {
		ts.Fatalf("unknown signal %q", args[0])
	}
	ts.Check(serverOf(ts).cmd.Process.Signal(sig))
}

func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	for deadline := time.Now().Add(serverOf(ts).patience); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && re.Match(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not match %q in time:\n%s", args[0], args[1], text)
		}
	}
}

func awaitStatus(ts *testscript.TestScript, neg bool, args []string) {
	re := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(serverOf(ts).patience); ; time.Sleep(5 * time.Millisecond) {
		text, err := alicornCommand(ts, []string{"status", "--json", "-c", "alicorn.conf"}).CombinedOutput()
		if err == nil && re.Match(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the status does not match %q in time:\n%s", args[0], text)
		}
	}
}

// httpFlags are the flags of the http command.
type httpFlags struct {
	port, to, unix, body, proto string // to: HOST:PORT
	tls, gunzip, bodyOnly       bool
	times                       int
	until                       *regexp.Regexp // repeat until the answer matches
	serverName                  string
	patience                    time.Duration
}

func parseHTTPFlags(ts *testscript.TestScript, args []string) (httpFlags, []string) {
	f := httpFlags{port: serverOf(ts).ports[0], proto: "HTTP/1.1", times: 1, patience: serverOf(ts).patience}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, value, _ := strings.Cut(args[0][1:], "=")
		switch name {
		case "port":
			n, _ := strconv.Atoi(value)
			f.port = serverOf(ts).ports[n-1]
		case "to":
			f.to = value
		case "unix":
			f.unix = ts.MkAbs(value)
		case "body":
			f.body = ts.MkAbs(value)
		case "proto":
			f.proto = value
		case "tls":
			f.tls, f.serverName = true, value
		case "gunzip":
			f.gunzip = true
		case "bodyonly":
			f.bodyOnly = true
		case "until":
			f.until = regexp.MustCompile(value)
			f.times = 1 << 30
		case "times":
			f.times, _ = strconv.Atoi(value)
		default:
			ts.Fatalf("unknown flag %s", args[0])
		}
		args = args[1:]
	}
	if len(args) < 2 {
		ts.Fatalf("usage: http [FLAG...] METHOD URI [FIELD: VALUE]...")
	}
	return f, args
}

// sendHTTP prints the answer as it came, without carriage returns; chunked
// framing is decoded. The exit state is "failed" when there was no answer.
func sendHTTP(ts *testscript.TestScript, neg bool, args []string) {
	f, args := parseHTTPFlags(ts, args)
	deadline := time.Now().Add(2 * serverOf(ts).patience)
	for range f.times {
		text, err := f.exchange(args)
		if (err != nil) != neg {
			ts.Fatalf("http %s: %v", strings.Join(args, " "), err)
		}
		ts.Stdout().Write(text)
		if f.until != nil && f.until.Match(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("http %s: no answer has been like %q", strings.Join(args, " "), f.until)
		}
	}
}

func (f *httpFlags) exchange(args []string) ([]byte, error) {
	nc, err := f.dial()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(3 * f.patience))
	var req bytes.Buffer
	fmt.Fprintf(&req, "%s %s %s\r\n", args[0], args[1], f.proto)
	host := "Host: 127.0.0.1\r\n"
	for _, h := range args[2:] {
		if strings.HasPrefix(strings.ToLower(h), "host:") {
			host = ""
		}
		fmt.Fprintf(&req, "%s\r\n", h)
	}
	req.WriteString(host)
	if f.body != "" {
		body, err := os.ReadFile(f.body)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&req, "Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	} else {
		req.WriteString("Connection: close\r\n\r\n")
	}
	go nc.Write(req.Bytes())
	answer, err := io.ReadAll(nc)
	if len(answer) == 0 && err == nil {
		err = errors.New("the connection was closed without an answer")
	}
	if err != nil {
		return nil, err
	}
	return f.present(answer)
}

func (f *httpFlags) dial() (net.Conn, error) {
	if f.unix != "" {
		return net.Dial("unix", f.unix)
	}
	addr := cmp.Or(f.to, "127.0.0.1:"+f.port)
	if f.tls {
		return (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: f.serverName}}).DialContext(context.Background(), "tcp4", addr)
	}
	return net.Dial("tcp4", addr)
}

func (f *httpFlags) present(answer []byte) ([]byte, error) {
	head, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	if regexp.MustCompile(`(?i)\r\ntransfer-encoding: chunked`).Match(head) {
		var err error
		if body, err = dechunk(body); err != nil {
			return nil, err
		}
	}
	if f.gunzip {
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(zr); err != nil {
			return nil, err
		}
	}
	if f.bodyOnly {
		return append(body, '\n'), nil
	}
	head = bytes.ReplaceAll(head, []byte("\r"), nil)
	return append(append(append(head, "\n\n"...), body...), '\n'), nil
}

func dechunk(b []byte) ([]byte, error) {
	var out []byte
	for {
		line, rest, ok := bytes.Cut(b, []byte("\r\n"))
		n, err := strconv.ParseInt(string(line), 16, 32)
		if !ok || err != nil || len(rest) < int(n)+2 {
			return out, fmt.Errorf("chunked body is cut after %d bytes", len(out))
		}
		if n == 0 {
			return out, nil
		}
		out, b = append(out, rest[:n]...), rest[n+2:]
	}
}

// sendRaw sends a file, with "\n" as CRLF and \xNN, \r, \n escapes inside
// lines resolved, and prints what comes back until the server closes.
func sendRaw(ts *testscript.TestScript, neg bool, args []string) {
	open, linger := false, ""
	for ; len(args) > 1; args = args[1:] {
		open = open || args[0] == "-open"
		if how, ok := strings.CutPrefix(args[0], "-linger="); ok {
			open, linger = true, how
		}
	}
	nc, err := net.Dial("tcp4", "127.0.0.1:"+serverOf(ts).ports[0])
	ts.Check(err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(serverOf(ts).patience))
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r\n")
	if plain, err := strconv.Unquote(`"` + strings.NewReplacer("\r", `\r`, "\n", `\n`, `"`, `\"`).Replace(text) + `"`); err == nil {
		text = plain
	}
	go func() {
		io.WriteString(nc, text)
		if !open {
			nc.(*net.TCPConn).CloseWrite()
		}
	}()
	answer, err := io.ReadAll(nc)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		ts.Fatalf("raw: %v", err)
	}
	ts.Stdout().Write(bytes.ReplaceAll(answer, []byte("\r"), nil))
	if linger != "" {
		fmt.Fprintf(ts.Stdout(), "\n%s\n", lingering(nc, linger == "busy"))
	}
}

// lingering plays a client that goes on sending after the answer's end, for half
// a second, or that pauses for as long and sends then. It must end within the
// shortest patience of a script: a write past the deadline fails like one to a
// connection that is closed.
func lingering(nc net.Conn, busy bool) string {
	for range 10 {
		if busy {
			if _, err := io.WriteString(nc, "more"); err != nil {
				return "closed"
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	// The first write after a close is answered with a reset, the second fails.
	for range 2 {
		if _, err := io.WriteString(nc, "more"); err != nil {
			return "closed"
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "open"
}

func holdRequest(ts *testscript.TestScript, neg bool, args []string) {
	nc, err := net.Dial("tcp4", "127.0.0.1:"+serverOf(ts).ports[0])
	ts.Check(err)
	ts.Check(nc.(*net.TCPConn).SetReadBuffer(64 << 10)) // the kernel would take tens of megabytes
	serverOf(ts).held = nc
	ts.Defer(func() { nc.Close() })
	_, err = fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: held\r\n\r\n", args[0], args[1])
	ts.Check(err)
}

func releaseHeld(ts *testscript.TestScript, neg bool, args []string) {
	nc := serverOf(ts).held
	nc.SetReadDeadline(time.Now().Add(serverOf(ts).patience))
	_, err := io.Copy(io.Discard, nc)
	switch {
	case err == nil:
		fmt.Fprintln(ts.Stdout(), "end")
	case errors.Is(err, syscall.ECONNRESET):
		fmt.Fprintln(ts.Stdout(), "reset")
	default:
		fmt.Fprintln(ts.Stdout(), "timeout")
	}
}
