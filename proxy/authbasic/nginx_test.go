package authbasic_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/access"
	"alicorn/proxy/authbasic"
	"alicorn/proxy/authrequest"
	"alicorn/proxy/header"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxypass"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/realip"
	"alicorn/proxy/rewrite"
	"alicorn/static"
)

// users is a file of users. The password of most is "secret".
const users = `# comment
#commented:{PLAIN}secret

plain:{PLAIN}secret
plain:{PLAIN}another
empty:{PLAIN}
sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
ssha:{SSHA}Wcm1xEisNjqp921ALcHfuQ7avFdzYWx0MTIzNA==
ssha0:{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
sshabad:{SSHA}5en6
apr1:$apr1$ZoSgbp7.$OMXVP2ndix7jWj/U6IyJH/
md5:$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1
md5short:$1$ab$dslkcXxVH.x8LwW1W/oAB/
sha256:$5$abcdefghijklmnop$i7zHaTeYqXlesRXJ8dXj6o.MEFQdzfIJpJpcWAtszs6
sha256r:$5$rounds=1000$abc$Mz4DiYKTnNKbZLo/mIp3d8Y4aQBhv3uhSwxLDy55/Y8
sha512:$6$abcdefghijklmnop$J/AWykHqo2Tx5UtavGnFc3ytI33la50JpzLTarSWVhkIXK6wOjNwwZjsrIw2UgmrER2EKrSHCeQyAINEEXAk1/
sha512r:$6$rounds=1234$a$hbtrSi3ltI6kdd4bphtoDkhyYIIdXFA1KXXtOItojt7WMBKxPnX8l.B47HIjRyzRpXZGx8Nqw8AWfzi3ZK0nw/
sha512none:$6$$2M9DchxW4txWyTYoZrH9D3VvAAQxBpEezYsLY6Cao.jwzEXpyL9xwip9hiUZX7GqTqe/E/z6iKvZqXUuqniQH.
sha512empty:$6$abcd$NU/C5Gju0G9iuhwYGc8C4T7UNm5gyOGf7Xo/YAAExf5aQb28mUxIL2q/EzSmLYbkVO9uOhSV40MbPwn7aHHHz0
sha512utf8:$6$abcd$3ECdp4cVc8RSSCvnIMx.aaA2Yl90o2gLkNlSiV9D4mRQXLVE1gW1RPsSO9Z503L3ocErvKuFKI3Mi5a3yRaa40
bcrypt2a:$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW
bcrypt2b:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW
bcrypt2y:$2y$04$JECVlu5mYDn9I8eZDwPn.Onxr1xBBiJ/zkW2qYoBDw4c5BCu.MDPK
bcryptx:$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i
commented:{PLAIN}secret:a comment
ended:{PLAIN}secret` + "\r" + `
:{PLAIN}secret
noline
 spaced:{PLAIN}secret
last:{PLAIN}secret`

// site is served by both.
const site = `
	set_real_ip_from unix:;
	auth_basic_user_file DIR/users;
	server {
		listen unix:DIR/SIDE;
		root DIR/root;
		add_header X-Seen "$uri $remote_user" always;
		location = /ask { internal; proxy_pass http://unix:DIR/origin; }
		location = /page { auth_basic off; return 200 "page"; }
		SITE
	}`

type request struct{ target, authorization, from, say string }

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// pair is nginx and this program, with one configuration.
type pair struct {
	t    *testing.T
	dir  string
	ours *proxytest.Server
}

func begin(t *testing.T, text string) *pair {
	t.Helper()
	p := &pair{t: t, dir: proxytest.NginxDir(t)}
	os.Mkdir(filepath.Join(p.dir, "root"), 0o755)
	p.write("root/f", "content")
	p.write("users", users)
	p.serveOrigin()
	text = strings.ReplaceAll(site, "SITE", text)
	proxytest.StartNginx(t, p.dir, strings.ReplaceAll("access_log off; default_type text/plain;"+text, "SIDE", "nginx"))
	p.ours = proxytest.New(t, proxytest.Config{Text: strings.NewReplacer("DIR", p.dir, "SIDE", "ours").Replace(text), Serve: http1.Serve, Dir: p.dir,
		Modules: append([]proxy.Module{realip.Module(), rewrite.Module(), access.Module(), authbasic.Module(), authrequest.Module(), header.Module()},
			append(proxypass.Modules(proxypass.Options{}), static.Module())...)})
	return p
}

func (p *pair) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) serveOrigin() {
	origin, err := net.Listen("unix", filepath.Join(p.dir, "origin"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { origin.Close() })
	go http.Serve(origin, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.Header.Get("X-Say"))
		if status == 401 {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		w.WriteHeader(max(status, 200))
	}))
}

// compare sends r to both. It returns the status.
func (p *pair) compare(r request) string {
	p.t.Helper()
	theirLog := func() string {
		text, err := os.ReadFile(filepath.Join(p.dir, "error.log"))
		if err != nil {
			p.t.Fatal(err)
		}
		return string(text)
	}
	logged := len(theirLog())
	want := p.ask("nginx", r)
	want += reasons(theirLog()[logged:])
	logged = len(p.ours.Log.String())
	got := p.ask("ours", r)
	got += reasons(p.ours.Log.String()[logged:])
	if got != want {
		p.t.Errorf("%+v\nours  %s\nnginx %s", r, got, want)
	}
	return got[:3]
}

func (p *pair) ask(side string, r request) string {
	p.t.Helper()
	nc, err := net.Dial("unix", filepath.Join(p.dir, side))
	if err != nil {
		p.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	text := "GET " + r.target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	for name, value := range map[string]string{"Authorization": r.authorization, "X-Real-IP": r.from, "X-Say": r.say} {
		if value != "" {
			text += name + ": " + value + "\r\n"
		}
	}
	io.WriteString(nc, text+"\r\n")
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		p.t.Fatalf("%+v: %v", r, err)
	}
	io.Copy(io.Discard, res.Body)
	return fmt.Sprintf("%d %q %q", res.StatusCode, res.Header.Values("WWW-Authenticate"), res.Header.Values("X-Seen"))
}

var reason = regexp.MustCompile(`delaying unauthorized request|access forbidden by rule|auth request unexpected status: \d+|no user/password was provided for basic authentication|user "[^\n]*?" was not found in "[^"\n]*"|user "[^\n]*?": password mismatch|open\(\) "[^"\n]*" failed \([^)]*\)`)

func reasons(log string) string { return fmt.Sprintf(" %q", reason.FindAllString(log, -1)) }

func TestPasswordsAreCheckedAsNginxDoes(t *testing.T) {
	p := begin(t, `location / { auth_basic "closed site"; }`)
	passed := 0
	for line := range strings.SplitSeq(users, "\n") {
		user, _, _ := strings.Cut(line, ":")
		for _, password := range []string{"secret", "wrong", "", "secret ", "s\u00e9cret", strings.Repeat("x", 100), "another", "secret:x"} {
			if p.compare(request{target: "/f", authorization: basic(user, password)}) == "200" {
				passed++
			}
		}
	}
	if passed < 24 {
		t.Errorf("only %d requests were let in, want at least 24", passed)
	}
	for _, user := range []string{"nobody", "plai", "plain2", "#"} {
		p.compare(request{target: "/f", authorization: basic(user, "secret")})
	}
}

func TestCredentialsAreReadAsNginxDoes(t *testing.T) {
	p := begin(t, `location / { auth_basic "closed"; }`)
	good := base64.StdEncoding.EncodeToString([]byte("plain:secret"))
	odd := base64.StdEncoding.EncodeToString([]byte("last:secret"))
	for _, a := range []string{"", "Basic", "Basic ", "Basic " + good, "basic " + good, "BASIC " + good, "Basic   " + good, "Basic\t" + good, "Basic " + good + "=", "Basic " + good + "=x", "Basic =" + good, "Basic" + good,
		"Basic " + odd, "Basic " + strings.TrimRight(odd, "="), "Basic " + odd + "  ", "Basic x", "Basic xx", "Basic xxx", "Basic xxxxx", "Basic " + good[:8] + "\u00e9", "Basic " + good + " " + good, "Basic " + good + ",",
		"Bearer " + good, "Basic-x " + good, "Basic " + base64.URLEncoding.EncodeToString([]byte("plain:\xff\xfe\xfd")), basic("plain", ""), basic("", "secret"), basic("", ""), "Basic " + base64.StdEncoding.EncodeToString([]byte("plain")),
		"Digest username=\"plain\""} {
		p.compare(request{target: "/f", authorization: a})
	}
}

func TestRealmsAndFilesAreThoseOfNginx(t *testing.T) {
	p := begin(t, `
		location / { auth_basic ""; }
		location /off/ { auth_basic off; }
		location /variable/ { auth_basic $arg_realm; }
		location /mixed/ { auth_basic "of $host"; auth_basic_user_file users; }
		location /named/ { auth_basic x; auth_basic_user_file $arg_file; }
		location /missing/ { auth_basic x; auth_basic_user_file none; error_page 403 /page; }
		location /folder/ { auth_basic x; auth_basic_user_file root; }
		location /through/ { auth_basic x; auth_basic_user_file users/x; }
		location /outer/ { auth_basic outer; location /outer/off/ { auth_basic off; } location /outer/inner/ { auth_basic inner; } location /outer/same/ { } }
		location /except/ { auth_basic x; limit_except POST { auth_basic y; } }
		location /paged/ { auth_basic x; error_page 401 /page; }
		location /return/ { auth_basic x; return 200; }`)
	for _, target := range []string{"/f", "/off/f", "/variable/f", "/variable/f?realm=off", "/variable/f?realm=a%20b", "/variable/f?realm=on", "/mixed/f", "/named/f?file=users", "/named/f?file=" + p.dir + "/users", "/named/f?file=none",
		"/missing/f", "/through/f", "/outer/f", "/outer/off/f", "/outer/inner/f", "/outer/same/f", "/except/f", "/paged/f", "/return/f", "/ask"} {
		for _, a := range []string{"", basic("plain", "secret"), basic("plain", "wrong"), basic("apr1", "secret"), basic("nobody", "secret")} {
			p.compare(request{target: target, authorization: a})
		}
	}
	for _, target := range []string{"/folder/f", "/named/f"} { // nginx's line is about read(), as it opens a folder
		r := request{target: target, authorization: basic("a", "b")}
		if got, want := p.ask("ours", r), p.ask("nginx", r); got != want || !strings.HasPrefix(got, "500 ") {
			t.Errorf("%s (want \"500 \" at its beginning):\nours  %s\nnginx %s", target, got, want)
		}
	}
}

func TestAllThreeAreWeighedAsInNginx(t *testing.T) {
	p := begin(t, `
		location /1/ { satisfy any; auth_basic x; auth_request /ask; allow 192.0.2.1; deny all; }
		location /2/ { satisfy all; auth_basic x; auth_request /ask; allow 192.0.2.1; deny all; }
		location /3/ { satisfy any; auth_basic x; allow 192.0.2.1; deny all; }
		location /4/ { satisfy any; auth_basic x; auth_request /ask; }
		location /5/ { satisfy any; auth_basic x; auth_request /ask; allow 192.0.2.1; }
		location /6/ { satisfy any; auth_basic x; auth_basic_user_file none; auth_request /ask; }
		location /7/ { satisfy any; auth_basic x; auth_basic_user_file none; deny all; error_page 401 403 /page; }
		location /8/ { satisfy any; auth_basic x; deny all; limit_except GET { allow all; } }
		location /9/ { satisfy any; auth_basic x; auth_request /ask; auth_delay 1ms; deny 192.0.2.1; error_page 401 /page; }
		location /10/ { auth_basic x; auth_request /ask; auth_delay 1ms; deny 192.0.2.1; }`)
	for i := range 10 {
		for _, from := range []string{"192.0.2.1", "10.0.0.1"} {
			for _, a := range []string{"", basic("plain", "secret"), basic("plain", "wrong"), basic("sha256r", "secret"), basic("sha256r", "wrong")} {
				for _, say := range []string{"200", "401", "403"} {
					p.compare(request{fmt.Sprintf("/%d/f", i+1), a, from, say})
				}
			}
		}
	}
}

func TestAChangedFileCountsAtOnceAsInNginx(t *testing.T) {
	p := begin(t, `location / { auth_basic x; auth_basic_user_file changed; }`)
	ask := func() {
		t.Helper()
		for _, password := range []string{"one", "two"} {
			p.compare(request{target: "/f", authorization: basic("u", password)})
		}
	}
	ask()
	for range 20 {
		p.write("changed", "u:{PLAIN}one\n")
		ask()
		p.write("changed", "u:{PLAIN}two\n")
		ask()
	}
	os.Rename(filepath.Join(p.dir, "changed"), filepath.Join(p.dir, "away"))
	ask()
	p.write("new", "u:{PLAIN}one\n")
	os.Rename(filepath.Join(p.dir, "new"), filepath.Join(p.dir, "changed"))
	ask()
	p.write("changed", "")
	ask()
}

func TestRequestsAreLetInWhereEverythingWaits(t *testing.T) {
	proxytest.RunPausing(t, "Nginx", "Waits")
}
