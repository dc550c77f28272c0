package deploy_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// asCaller runs a command as whoever Go's caches belong to: under sudo they
// are another user's, and stay so.
func asCaller(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	if uid := cacheOwner(t); uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return cmd
}

func cacheOwner(t *testing.T) int {
	t.Helper()
	cache := goEnv(t, "GOCACHE")
	err := os.MkdirAll(cache, 0o755) // root has none yet where sudo changes the home
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(cache)
	if err != nil {
		t.Fatal(err)
	}
	return int(st.Sys().(*syscall.Stat_t).Uid)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDockerfilesPassTheChecksOfBuildKit(t *testing.T) {
	t.Parallel()
	lint := filepath.Join(proxytest.PublicDir(t), "lint")
	if err := os.Chmod(filepath.Dir(lint), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-C", "lint", "vet", "."}, {"-C", "lint", "build", "-o", lint, "."}} {
		if out, err := asCaller(t, "go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v: %s", args, err, out)
		}
	}
	if out, err := exec.Command(lint, "Dockerfile", "examples/docker/Dockerfile").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	// The checks find what is wrong.
	bad := filepath.Join(t.TempDir(), "Dockerfile")
	write(t, bad, "FROM debian\nWORKDIR app\nCMD alicorn run\n", 0o644)
	found, err := exec.Command(lint, bad).CombinedOutput()
	for _, rule := range []string{"WorkdirRelativePath", "JSONArgsRecommended"} {
		if err == nil || !strings.Contains(string(found), rule) {
			t.Errorf("no %s: %v: %s", rule, err, found)
		}
	}
}

// systemBinds are this system's programs and libraries.
func systemBinds() map[string]string {
	binds := map[string]string{}
	for _, dir := range []string{"/usr/bin", "/usr/lib", "/usr/lib64"} {
		if _, err := os.Stat(dir); err == nil {
			binds[dir] = dir
		}
	}
	return binds
}

// systemRoot makes what leads to systemBinds, and the users of an image.
func systemRoot(t *testing.T) func(root string) {
	return func(root string) {
		for _, name := range []string{"bin", "lib", "lib64"} {
			if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		}
		write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nnobody:x:65534:65534::/:/bin/false\n", 0o644)
		write(t, filepath.Join(root, "etc/group"), "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n", 0o644)
	}
}

// golang is the image with Go: this system's, and its caches. The modules are
// fetched before, since RUN has no network here.
func golang(t *testing.T) base {
	if out, err := asCaller(t, "go", "-C", "..", "mod", "download").CombinedOutput(); err != nil {
		t.Fatalf("go mod download: %v: %s", err, out)
	}
	b := base{binds: systemBinds(), variables: map[string]string{"PATH": "/usr/local/go/bin:/usr/bin", "GOPATH": "/go", "GOTOOLCHAIN": "local", "GOPROXY": "off"}, uid: cacheOwner(t)}
	b.make = func(root string) {
		systemRoot(t)(root)
		authorities, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"), string(authorities), 0o644)
	}
	b.binds["/usr/local/go"] = goEnv(t, "GOROOT")
	b.caches = map[string]string{"/go/pkg/mod": goEnv(t, "GOMODCACHE"), "/root/.cache/go-build": goEnv(t, "GOCACHE")}
	return b
}

// python is an image with Python: this system's.
func python(t *testing.T) base {
	return base{binds: systemBinds(), variables: map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin"}, make: systemRoot(t)}
}

// uv stands in for uv's image: a program that makes the environment as uv
// does, for a lock without packages.
func uv(t *testing.T) base {
	return base{make: func(root string) {
		write(t, filepath.Join(root, "uv"), `#!/bin/sh
[ "$*" = "sync --locked --no-dev --no-install-project" ] && [ -f pyproject.toml ] && [ -f uv.lock ] || exit 2
exec python3 -m venv --without-pip .venv
`, 0o755)
	}}
}

func TestImagesServeAsDockerRunsThem(t *testing.T) {
	t.Parallel()
	program := build(t, "Dockerfile", context(t, ".."), map[string]base{"golang:1.26-bookworm": golang(t), "scratch": {}}, nil,
		map[string]string{"BUILDPLATFORM": "linux", "TARGETOS": "linux", "TARGETARCH": goEnv(t, "GOARCH")})
	t.Run("the program alone", func(t *testing.T) { programAlone(t, program) })
	for _, variant := range []string{"slim", "alpine"} {
		bases := map[string]base{"ghcr.io/astral-sh/uv:0.9": uv(t), "python:3.13-" + variant: python(t)}
		args := map[string]string{}
		if variant != "slim" {
			args["BASE"] = variant
		}
		files := context(t, "examples/docker")
		example := build(t, "examples/docker/Dockerfile", files, bases, map[string]*image{"alicorn": program}, args)
		t.Run(variant, func(t *testing.T) { t.Parallel(); exampleAsItIs(t, example) })
		t.Run(variant+" with the README's command", func(t *testing.T) { t.Parallel(); exampleByREADME(t, example) })
		if variant == "slim" {
			write(t, filepath.Join(files, "shop.py"), probe, 0o644)
			probed := build(t, "examples/docker/Dockerfile", files, bases, map[string]*image{"alicorn": program}, args)
			t.Run("a request in progress", func(t *testing.T) { t.Parallel(); containerEnds(t, probed, "/slow", true) })
			t.Run("a request that hangs", func(t *testing.T) { t.Parallel(); containerEnds(t, probed, "/stuck", false) })
			t.Run("what an application does", func(t *testing.T) { t.Parallel(); applicationInContainer(t, probed) })
		}
	}
}

const filesOfProgram = `0 /alicorn
0 /etc
0 /etc/ssl
0 /etc/ssl/certs
0 /etc/ssl/certs/ca-certificates.crt
0 /var
0 /var/lib
65534 /var/lib/alicorn
`

// programAlone: nothing but the program is in its image, and it serves there.
func programAlone(t *testing.T, program *image) {
	list, err := exec.Command("sh", "-c", "find \"$0\" -mindepth 1 -printf '%U /%P\\n' | sort -k 2", program.root).Output()
	if err != nil || string(list) != filesOfProgram {
		t.Errorf("the image has\n%s%v; want\n%s", list, err, filesOfProgram)
	}
	needsNoLibrary(t, program.at("alicorn"))
	write(t, program.at("alicorn.conf"), "access_log /dev/stdout;\nerror_log stderr notice;\ntls_internal on;\n"+
		"server { listen 80; listen 443 ssl; server_name shop.internal; root /site; }\n", 0o644)
	write(t, program.at("site/index.html"), "a page", 0o644)
	volume := proxytest.PublicDir(t)
	if err := os.Chown(volume, 65534, 65534); err != nil { // as an engine does, after the image's folder
		t.Fatal(err)
	}
	c := program.container()
	c.Volumes = map[string]string{"/var/lib/alicorn": volume}
	c.start(t)
	if answer := c.answer("127.0.0.1:80", "/"); !strings.HasSuffix(answer, "\r\n\r\na page") {
		t.Errorf("answer %q, want %q at its end", answer, "\r\n\r\na page")
	}
	c.isUnprivileged(65534)
	await(t, "no certificate is obtained, or it is not kept", func() bool {
		keys, _ := exec.Command("find", volume, "-name", "shop.internal*.key").Output()
		return len(keys) > 0
	})
	c.stop()
	if !strings.Contains(c.stdout.String(), `"GET / HTTP/1.1" 200 6`) {
		t.Errorf("no line about the request on standard output:\n%s", &c.stdout)
	}
}

// exampleAsItIs: the example serves, and its access log goes to standard output.
func exampleAsItIs(t *testing.T, example *image) {
	c := example.container()
	c.Temp = true
	c.start(t)
	if answer := c.answer("127.0.0.1:"+example.ports[0], "/"); !strings.HasSuffix(answer, "\r\n\r\nServed from a container.\n") {
		t.Errorf("answer %q, want %q at its end", answer, "\r\n\r\nServed from a container.\n")
	}
	c.isUnprivileged(10001)
	c.stop()
	if !strings.Contains(c.stdout.String(), `"GET / HTTP/1.1" 200 25`) {
		t.Errorf("no line about the request on standard output:\n%s", &c.stdout)
	}
	if example.stop != "SIGTERM" {
		t.Errorf("the image is stopped by %q, want SIGTERM, as by the test", example.stop)
	}
}

// exampleByREADME: the command of the README's section serves, too.
func exampleByREADME(t *testing.T, example *image) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## In Docker\n")
	var command []string
	if m := regexp.MustCompile(`\nCMD (\[.*\])\n`).FindStringSubmatch(section); m == nil || json.Unmarshal([]byte(m[1]), &command) != nil {
		t.Fatalf("the README has no command: %s", section)
	}
	c := example.container(command...)
	c.Temp = true
	c.start(t)
	if answer := c.answer("127.0.0.1:8000", "/"); !strings.HasSuffix(answer, "\r\n\r\nServed from a container.\n") {
		t.Errorf("answer %q, want %q at its end", answer, "\r\n\r\nServed from a container.\n")
	}
	c.stop()
	if !strings.Contains(c.stdout.String(), `"GET / HTTP/1.1" 200 25`) {
		t.Errorf("no line about the request on standard output:\n%s", &c.stdout)
	}
}

// probe is an application that tells what is around it.
const probe = `import os, sys, time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    text = ""
    if path == "/orphan":
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            orphan = os.fork()
            if orphan == 0:
                time.sleep(0.05)
            else:
                os.write(tell, str(orphan).encode())
            os._exit(0)
        os.waitpid(child, 0)
        text = os.read(told, 100).decode()
    elif path == "/upload":
        text = str(len(environ["wsgi.input"].read()))
    elif path == "/who":
        text = f"{os.getuid()} {os.getgid()} {os.getgroups()} {os.getcwd()} {sys.prefix} {os.access('/', os.W_OK)} {os.environ.get('HOME')}"
    else:
        print("the application sleeps", file=environ["wsgi.errors"], flush=True)
        time.sleep(0.5 if path == "/slow" else 60)
        text = "slept"
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text.encode()]
`

// containerEnds: docker stop lets a request end, and cuts off one that does not.
func containerEnds(t *testing.T, probed *image, path string, served bool) {
	c := probed.container()
	c.Temp = true
	c.start(t)
	answer := make(chan string, 1)
	go func() { answer <- c.answer("127.0.0.1:8000", path) }()
	await(t, "the application is not called, or what it prints is not on standard error", func() bool {
		return strings.Contains(c.stderr.String(), "the application sleeps")
	})
	took := c.stop()
	if got := <-answer; strings.HasSuffix(got, "\r\n\r\nslept") != served {
		t.Errorf("answer %q, want %v", got, served)
	}
	if served && took > 5*time.Second {
		t.Errorf("the container took %v to stop, with a request of half a second", took)
	}
}

// applicationInContainer: what a worker has there, orphans and long uploads.
func applicationInContainer(t *testing.T, probed *image) {
	c := probed.container()
	c.Temp = true
	c.start(t)
	if got, want := c.answer("127.0.0.1:8000", "/who"), "10001 10001 [] /app /app/.venv False /"; !strings.HasSuffix(got, "\r\n\r\n"+want) {
		t.Errorf("an application is %q, want %q", got, want)
	}
	_, orphan, _ := strings.Cut(c.answer("127.0.0.1:8000", "/orphan"), "\r\n\r\n")
	if n, err := strconv.Atoi(orphan); err != nil || n < 2 {
		t.Errorf("the orphan is %q, want n at least 2", orphan)
	}
	await(t, "the orphan is not reaped", func() bool { return c.processes()[orphan] == "" })
	if got := c.request("127.0.0.1:8000", "POST /upload HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n"+strings.Repeat("x", 900000)); !strings.HasSuffix(got, "\r\n\r\n900000") {
		t.Errorf("the answer to an upload is %q, want %q at its end", got, "\r\n\r\n900000")
	}
	if out, err := c.inside("alicorn", "status"); err != nil || !strings.Contains(out, "app shop: ") {
		t.Errorf(`alicorn status, asked inside: %v: %s; want "app shop: " in it`, err, out)
	}
	if out, err := c.inside("alicorn", "reload"); err != nil {
		t.Errorf("alicorn reload, asked inside: %v: %s", err, out)
	}
	if out, err := c.inside("alicorn", "upgrade"); err == nil || !strings.Contains(out, "start a container of the new image instead") {
		t.Errorf(`alicorn upgrade, asked inside: %v: %s; want an error with "start a container of the new image instead"`, err, out)
	}
	c.stop()
}
