package deploy_test

import (
	"os"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// outagesEnv names the package to the test that runs with mounts of its own.
const outagesEnv = "ALICORN_TEST_OUTAGES"

// outage is something that goes wrong at night. Whatever the operator looks at
// first names it, and what helps.
type outage struct {
	name string
	seed string // commands that cause it
	heal string // and that end it
	want string // what both "systemctl status" and "alicorn status" say
	log  string // what the error log says; "": it is the one of the server that runs
	verb string // what "alicorn status" says instead of want; "": the same
}

const (
	restart = "\nsystemctl restart alicorn || :"
	wsgi    = "/srv/shop/shop/wsgi.py"
)

var outages = []outage{
	{
		name: "port taken",
		seed: "systemctl stop alicorn\nsystemd-run --quiet --collect --unit=other python3 -m http.server 80\n" + awaitPort(80) + "\nsystemctl start alicorn || :",
		heal: "systemctl stop other",
		want: `cannot listen on 0\.0\.0\.0:80: the port is in use by python3 \(pid \d+\) of other\.service; "systemctl disable --now other\.service" frees it`,
		log:  `\[emerg\] .*the start has failed: .*the port is in use by python3 \(pid \d+\) of other\.service`,
	},
	{
		name: "two instances",
		seed: "systemctl stop alicorn\nsetsid alicorn run -c /etc/alicorn/alicorn.conf >/dev/null 2>&1 </dev/null &\n" + awaitPort(80) + "\nsystemctl start alicorn || :",
		heal: "alicorn stop",
		want: `the port is in use by alicorn \(pid \d+\), which serves this configuration already; "alicorn reload" brings changes in, and "alicorn stop" ends it`,
		verb: `alicorn \S+, pid \d+, up`,
	},
	{
		name: "wrong folder",
		seed: "sed -i 's,/srv/shop;,/srv/shpo;,' /etc/alicorn/conf.d/shop.conf" + restart,
		heal: "cp /root/shop.conf /etc/alicorn/conf.d/shop.conf",
		want: `/etc/alicorn/conf\.d/shop\.conf:1:\d+: directory of app "shop": /srv/shpo does not exist; did you mean /srv/shop\?`,
		log:  `\[emerg\] .*the start has failed: .*/srv/shpo does not exist; did you mean /srv/shop\?`,
	},
	{
		name: "wrong permissions",
		seed: "chown root: /srv/shop\nchmod 700 /srv/shop" + restart,
		heal: "chown shop: /srv/shop\nchmod 755 /srv/shop",
		want: `the application runs as user "alicorn-app", who may not enter /srv/shop; "chmod o\+x /srv/shop" lets every user pass it`,
		log:  `may not enter /srv/shop; "chmod o\+x /srv/shop"`,
	},
	{
		name: "wrong permissions of static files",
		seed: "mkdir -p /srv/files && chmod 700 /srv/files\n" +
			"echo 'server { listen 8081; location /static/ { alias /srv/files/; } }' >/etc/alicorn/conf.d/files.conf\nsystemctl reload alicorn",
		heal: "rm /etc/alicorn/conf.d/files.conf\nsystemctl reload alicorn",
		want: `/etc/alicorn/conf\.d/files\.conf:1:\d+: nothing in "/srv/files/" can be served: the server runs as alicorn, who may not enter "/srv/files"; "chmod o\+x /srv/files"`,
		log:  `who may not enter "/srv/files"`,
	},
	{
		name: "missing module",
		seed: `sed -i 's/^INSTALLED_APPS = \[/&"storages",/' /srv/shop/shop/settings.py` + restart,
		heal: "cp -p /root/settings.py /srv/shop/shop/",
		want: `app "?shop"?(?s).*no module named 'storages' for /usr/bin/python3 .*; install it for that interpreter, or name the environment that has it with "virtualenv"`,
		log:  `no module named 'storages'`,
	},
	{
		name: "broken settings",
		seed: "echo 'DATABASES = {' >>/srv/shop/shop/settings.py" + restart,
		heal: "cp -p /root/settings.py /srv/shop/shop/",
		want: `cannot import shop\.wsgi: '\{' was never closed in /srv/shop/shop/settings\.py, line \d+`,
		log:  `SyntaxError: '\{' was never closed`,
	},
	{
		name: "dead database at start",
		seed: "printf 'import socket\\nsocket.create_connection((\"127.0.0.1\", 5432))\\n' >>" + wsgi + restart,
		heal: "systemd-run --quiet --collect --unit=database python3 -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", 5432)); time.sleep(600)'",
		want: `ConnectionRefusedError: \[Errno 111\] Connection refused; a server that the application needs at start, such as its database, cannot be used: start it, and the application is tried again by itself`,
		log:  `such as its database, cannot be used`,
	},
	{
		name: "application that ends at once",
		seed: "printf 'import os, threading\\nthreading.Timer(0.5, os._exit, [3]).start()\\n' >>" + wsgi + restart,
		heal: "cp -p /root/wsgi.py " + wsgi + "\nalicorn reload shop",
		want: `its workers end as soon as they are ready, the last one with exit code 3: a thread, a library or a request ends the process`,
		log:  `its workers end as soon as they are ready`,
	},
	{
		name: "stuck worker",
		seed: "cat >" + wsgi + " <<'END'\nimport time\ndef application(environ, start_response):\n    if environ['PATH_INFO'] == '/stuck':\n" +
			"        time.sleep(600)\n    start_response('200 OK', [])\n    return [b'unstuck']\nEND\nsystemctl reload alicorn\n" +
			"curl --silent --output /dev/null --header 'Host: shop.example.com' http://127.0.0.1/stuck",
		heal: "cp -p /root/wsgi.py " + wsgi + "\nalicorn reload shop",
		want: `requests have taken longer than timeout: \d+ since .*: GET /stuck; the error log has the stack of each`,
		log:  `wsgi\.py", line 4 in application`,
	},
	{
		name: "expired certificate",
		seed: "cd /etc/ssl && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out new.pem -subj /CN=shop.example.com -days 1 2>/dev/null\n" +
			"openssl x509 -in new.pem -signkey key.pem -days -1 -out old.pem 2>/dev/null\n" +
			"echo 'server { listen 8443 ssl; ssl_certificate /etc/ssl/old.pem; ssl_certificate_key /etc/ssl/key.pem; return 200; }' >/etc/alicorn/conf.d/tls.conf\nsystemctl reload alicorn",
		heal: "rm /etc/alicorn/conf.d/tls.conf\nsystemctl reload alicorn",
		want: `certificate "/etc/ssl/old\.pem" expired on \d{4}-\d\d-\d\d; put a renewed one there and run "alicorn reload"`,
		log:  `certificate "/etc/ssl/old\.pem" expired on`,
	},
	{
		name: "full disk of temporary files",
		seed: "mount -t tmpfs -o size=8m tmpfs /var/cache/alicorn\nchown alicorn: /var/cache/alicorn\nhead -c 8388608 /dev/zero >/var/cache/alicorn/other 2>/dev/null || :" + restart +
			"\nhead -c 900000 /dev/zero | curl --silent --output /dev/null --data-binary @- --header 'Host: shop.example.com' http://127.0.0.1/",
		heal: "systemctl stop alicorn\numount /var/cache/alicorn\nsystemctl start alicorn",
		want: `no space is left in /var/cache/alicorn, .*"df -h /var/cache/alicorn"`,
		log:  `cannot write a request body to "/var/cache/alicorn/client_body": .*no space left on device`,
	},
	{
		name: "full disk of logs",
		seed: "mount -t tmpfs -o size=64k tmpfs /var/log/alicorn\nchown alicorn: /var/log/alicorn" + restart +
			"\nhead -c 65536 /dev/zero >/var/log/alicorn/other 2>/dev/null || :\ncurl --silent --output /dev/null --header 'Host: shop.example.com' http://127.0.0.1/",
		heal: "systemctl stop alicorn\numount /var/log/alicorn\nsystemctl start alicorn",
		want: `log /var/log/alicorn/access\.log cannot be written: no space left on device; \d+ lines? lost; "df -h /var/log/alicorn" shows the space that is left`,
	},
}

// awaitPort is a command that waits until something listens on the port.
func awaitPort(port int) string {
	return "for i in $(seq 600); do ! ss -Hltn sport = :" + itoa(port) + " | grep -q . || break; sleep 0.1; done"
}

func TestOutagesAreNamedWithTheirRemedy(t *testing.T) {
	if deb := os.Getenv(outagesEnv); deb != "" {
		causeOutages(t, deb)
		return
	}
	t.Parallel()
	inNamespaces(t, unix.CLONE_NEWNS, outagesEnv+"="+buildPackage(t))
}

const outagesSite = "app shop { wsgi shop.wsgi; directory /srv/shop; python /usr/bin/python3; workers 1; timeout 1s; }\n" +
	"server { listen 80; server_name shop.example.com; location / { app_pass shop; } }\n"

func causeOutages(t *testing.T, deb string) {
	m := bootMachine(t)
	m.run("ip link set lo up")
	m.copy(deb, "/root/alicorn.deb")
	m.project(`STATIC_ROOT = "/srv/shop/static"`)
	m.write("/root/shop.conf", outagesSite, 0o644)
	m.write("/etc/systemd/system/alicorn.service.d/test.conf", "[Service]\nRestartSec=200ms\n", 0o644) // instead of 2 s, for the test's sake
	m.run("dpkg -i alicorn.deb\ncp shop.conf /etc/alicorn/conf.d/\ncp -p /srv/shop/shop/settings.py " + wsgi + " /root/\nsystemctl reload alicorn")
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) { m.suffer(t, o) })
	}
}

// suffer causes an outage, has each first look name it, and ends it.
func (m *machine) suffer(t *testing.T, o outage) {
	m.t = t
	m.run("rm -f /var/log/alicorn/error.log\nalicorn reopen\n" + o.seed)
	verb := o.verb
	if verb == "" {
		verb = o.want
	}
	m.awaitWords("systemctl status --no-pager --full --lines 0 alicorn", o.want)
	m.awaitWords("alicorn status", verb)
	if o.log != "" {
		m.awaitWords("cat /var/log/alicorn/error.log", o.log)
	}
	m.run(o.heal)
	m.awaitWords("curl --silent --include --header 'Host: shop.example.com' http://127.0.0.1/version", `(?s)^HTTP/1\.1 200 .*the first of`)
	m.awaitWords("systemctl status --no-pager --lines 0 alicorn", `Active: active \(running\)`) // systemd hears of it a little later
}

// awaitWords waits until a command prints what matches.
func (m *machine) awaitWords(command, pattern string) {
	m.t.Helper()
	re := regexp.MustCompile(pattern)
	var out string
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if out, _ = m.try(command); re.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s prints\n%s\nwant %s", command, out, pattern)
		}
	}
}
