package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/proxytest"
	"alicorn/tls/acmetest"
)

// hourEnv names the package to the test that runs in a network of its own.
const hourEnv = "ALICORN_TEST_HOUR"

// The README's first hour is carried out on a fresh Debian server, which systemd
// has booted, by somebody who pastes its commands. An nginx has port 80 at first.
// Nothing else is configured: Let's Encrypt is pebble, at Let's Encrypt's
// address.
func TestTheFirstHourRunsAsWritten(t *testing.T) {
	if deb := os.Getenv(hourEnv); deb != "" {
		carryOut(t, deb)
		return
	}
	t.Parallel()
	deb := buildPackage(t)
	acmetest.Start(t, acmetest.Options{}) // so that it is built where there is a network
	for line := range strings.Lines(inNamespaces(t, unix.CLONE_NEWNET|unix.CLONE_NEWNS, hourEnv+"="+deb)) {
		if strings.Contains(line, timedHour) {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// timedHour begins the line that says how long the first hour has taken.
const timedHour = "the first hour took"

// buildPackage builds the Debian package of this tree.
func buildPackage(t *testing.T) string {
	t.Helper()
	dir := proxytest.PublicDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := asCaller(t, "./deb.sh", dir)
	cmd.Env = append(os.Environ(), "ALICORN_COMPRESSION=none")
	out, err := cmd.CombinedOutput()
	found, _ := filepath.Glob(filepath.Join(dir, "alicorn_*.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("deb.sh: %v, it makes %v: %s; want one", err, found, out)
	}
	return found[0]
}

// shellBlocks are the README's blocks of commands in one section.
func shellBlocks(t *testing.T, section string) []string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)\n```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("the README has no commands in %q", section)
	}
	return blocks
}

// sudo is all of sudo(8) that the README needs, for root.
const sudo = "#!/bin/sh\n[ \"$1\" = -u ] || exec \"$@\"\nuser=$2\nshift 2\nexec runuser -u \"$user\" -- \"$@\"\n"

// carryOut does what the README says, and looks at what it promises.
func carryOut(t *testing.T, deb string) {
	m := bootMachine(t)
	m.connect()
	v := newVisitor(t)
	m.isFresh()
	m.add("/etc/hosts", "203.0.113.5 shop.example.com\n203.0.113.1 acme-v02.api.letsencrypt.org\n")
	m.add("/etc/ssl/certs/ca-certificates.crt", string(v.authority))
	m.write("/usr/local/bin/sudo", sudo, 0o755)
	m.copy(deb, "/root/"+filepath.Base(deb))
	m.hasNginx()

	begun := time.Now()
	blocks := shellBlocks(t, "The first hour: Django over HTTPS")
	m.namesNginx(m.paste(blocks[0])) // the package, beside nginx
	for _, block := range append(shellBlocks(t, "Moving from nginx and gunicorn"), blocks[1:]...) {
		m.paste(block)
	}
	v.awaitTrusted("https://shop.example.com/admin/login/")
	t.Logf("%s %s, by machine", timedHour, time.Since(begun).Round(time.Second))
	v.redirects()
	m.createSuperuser()
	v.styledAdmin()
	m.showsCertificate()
	m.keepsSecrets()
	m.separatesUsers()
	m.release("the first")
	m.run("sudo systemctl reload alicorn")
	m.reloadUnderLoad(v)
	m.refusesBrokenCode(v)
	m.startsAgain(v)
}

// paste runs commands as somebody who reads what each prints.
func (m *machine) paste(commands string) (out string) {
	m.t.Helper()
	out = m.run("set -x\n" + commands)
	m.t.Logf("%s", out)
	return out
}

// hasNginx has an nginx serve on port 80, as on a server that is moved.
func (m *machine) hasNginx() {
	m.t.Helper()
	m.write("/etc/nginx/nginx.conf", "pid /run/nginx.pid;\nevents { }\nhttp { server { listen 80; return 200 nginx; } }\n", 0o644)
	m.run("systemctl enable --now nginx")
}

// namesNginx checks that the package's installation, which has printed out, and
// the service say who has the port, and that nginx goes on.
func (m *machine) namesNginx(out string) {
	m.t.Helper()
	const holder = `the port is in use by nginx \(pid \d+\) of nginx\.service; "systemctl disable --now nginx\.service" frees it`
	if !regexp.MustCompile("the service did not start: .*" + holder).MatchString(out) {
		m.t.Errorf("the installation prints\n%s", out)
	}
	m.awaitWords("systemctl status --no-pager --full alicorn", holder)
	if out = m.run("curl --silent http://127.0.0.1/"); out != "nginx" {
		m.t.Errorf(`beside the package nginx answers %q, want "nginx"`, out)
	}
}

// isFresh checks that there is nothing yet of what the package brings.
func (m *machine) isFresh() {
	m.t.Helper()
	out := m.run("set +e; getent passwd alicorn shop; ls -d /etc/alicorn /var/*/alicorn /usr/*/alicorn /run/alicorn /etc/systemd/system/*alicorn* /srv/* 2>/dev/null; :")
	if out != "" {
		m.t.Fatalf("the machine is not fresh (want \"\"):\n%s", out)
	}
}

// versioned is a view that tells which code serves, and as which user.
const versioned = `
import os
from django.contrib import admin
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

urlpatterns = [
    path("admin/", admin.site.urls),
    path("version", csrf_exempt(lambda request: HttpResponse(f"%s of {os.getuid()}"))),
]
`

// release has the project's owner bring new code in. Its length differs from
// that of the one before: Python takes compiled code for current by the time
// in seconds and the size of its source.
func (m *machine) release(version string) {
	m.t.Helper()
	m.write("/srv/shop/urls.new", fmt.Sprintf(versioned, version), 0o644)
	m.run("cd /srv/shop && chown shop: urls.new && mv urls.new shop/urls.py")
}

// project makes the Django project as its owner would, with that setting.
func (m *machine) project(setting string) {
	m.t.Helper()
	m.run(`useradd --create-home shop
mkdir /srv/shop
chown shop: /srv/shop
runuser -u shop -- django-admin startproject shop /srv/shop
cd /srv/shop
sed -i "s/^DEBUG = .*/DEBUG = False/; s/^ALLOWED_HOSTS = .*/ALLOWED_HOSTS = ['shop.example.com']/" shop/settings.py
echo '` + setting + `' >>shop/settings.py
runuser -u shop -- python3 manage.py migrate --verbosity 0`)
	m.release("the first")
}

// createSuperuser makes the login of the shop's keeper.
func (m *machine) createSuperuser() {
	m.t.Helper()
	m.run(`cd /srv/shop
DJANGO_SUPERUSER_PASSWORD=` + password + ` runuser -u shop -- python3 manage.py createsuperuser --noinput --username keeper --email keeper@shop.example.com`)
}

// showsCertificate checks what "alicorn cert" prints: the name, who has
// certified it, until when, and when it is renewed.
func (m *machine) showsCertificate() {
	m.t.Helper()
	out := m.run("alicorn cert")
	row := regexp.MustCompile(`(?m)^shop\.example\.com  +\S.*?  +(\S+ \S+ UTC)  +(\S+ \S+ UTC)$`).FindStringSubmatch(out)
	if row == nil {
		m.t.Fatalf("alicorn cert prints\n%s", out)
	}
	var times [2]time.Time
	for i := range times {
		var err error
		if times[i], err = time.Parse("2006-01-02 15:04:05 MST", row[1+i]); err != nil {
			m.t.Error(err)
		}
	}
	if now := time.Now(); !times[1].After(now) || !times[0].After(times[1]) {
		m.t.Errorf("at %v the certificate expires at %v and is renewed at %v", now.UTC(), times[0], times[1])
	}
}

// keepsSecrets checks who can read private keys.
func (m *machine) keepsSecrets() {
	m.t.Helper()
	out := m.run(`grep -rlZ "PRIVATE KEY" /var/lib/alicorn | xargs -0 stat -c "%a %U"`)
	if keys := strings.Count(out, "\n"); keys < 2 || out != strings.Repeat("600 alicorn\n", keys) {
		m.t.Errorf("modes and owners of private keys are\n%s", out)
	}
}

// separatesUsers checks whose the service's processes are: root's keeper, the
// front, and workers of the project's owner.
func (m *machine) separatesUsers() {
	m.t.Helper()
	out := m.run(`for pid in $(cat /sys/fs/cgroup/system.slice/alicorn.service/cgroup.procs); do stat -c %U /proc/$pid; done`)
	users := strings.Fields(out)
	slices.Sort(users)
	if got := slices.Compact(users); !slices.Equal(got, []string{"alicorn", "root", "shop"}) {
		m.t.Errorf("processes are those of %v, want %v", got, []string{"alicorn", "root", "shop"})
	}
}

// reloadUnderLoad brings new code in, again and again, while clients come
// with new and with kept connections.
func (m *machine) reloadUnderLoad(v *visitor) {
	m.t.Helper()
	owner := strings.TrimSpace(m.run("id -u shop"))
	load := v.load()
	for _, version := range []string{"the second", "the third", "the fourth one"} {
		m.release(version)
		m.run("sudo systemctl reload alicorn")
		v.isServed(version + " of " + owner)
		load.goesOn()
	}
	if n, err := load.end(); err != nil {
		m.t.Errorf("%d requests, the first failure: %v", n, err)
	} else {
		m.t.Logf("%d requests while code was reloaded three times", n)
	}
}

// refusesBrokenCode: a mistake changes nothing, and whoever reloads hears of it.
func (m *machine) refusesBrokenCode(v *visitor) {
	m.t.Helper()
	m.run("cp -p /srv/shop/shop/wsgi.py /root/")
	m.write("/srv/shop/shop/wsgi.py", "raise RuntimeError('a mistake')\n", 0o644)
	if out, err := m.try("sudo systemctl reload alicorn"); err == nil {
		m.t.Errorf("a reload to broken code succeeds:\n%s", out)
	}
	v.isServed("the fourth one of " + strings.TrimSpace(m.run("id -u shop")))
}

// startsAgain: as after a reboot the service comes up by itself, with the
// certificate it has.
func (m *machine) startsAgain(v *visitor) {
	m.t.Helper()
	m.release("the last")
	m.run("mv /root/wsgi.py /srv/shop/shop/wsgi.py")
	m.run("systemctl is-enabled alicorn && systemctl restart alicorn")
	v.isServed("the last of " + strings.TrimSpace(m.run("id -u shop")))
	if n := v.ca.Orders(""); n != 1 {
		m.t.Errorf("%d orders, want 1", n)
	}
	m.run("systemctl stop alicorn && ! systemctl is-failed alicorn")
}
