package static_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// compared are the fields that must be nginx's.
var compared = []string{"Content-Type", "Content-Length", "Etag", "Last-Modified", "Location", "Content-Range", "Accept-Ranges", "Content-Encoding",
	"Expires", "Cache-Control", "X-Nested"}

var boundary = regexp.MustCompile(`\d{20}`)

// lists are requests whose body has no known length in nginx.
var lists = regexp.MustCompile(`^\S+ /(list|json|sizes|empty)/`)

// ask returns what is compared of the answer to a request written as
// "METHOD TARGET|Field: value|...".
func ask(t *testing.T, nc net.Conn, request string) string {
	t.Helper()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	parts := strings.Split(request, "|")
	method, target, _ := strings.Cut(parts[0], " ")
	fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n", method, target)
	for _, f := range parts[1:] {
		fmt.Fprintf(nc, "%s\r\n", f)
	}
	if method == "POST" {
		io.WriteString(nc, "Content-Length: 0\r\n")
	}
	io.WriteString(nc, "\r\n")
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", res.StatusCode)
	page := res.StatusCode >= 300 && res.StatusCode != 304
	for _, name := range compared {
		v := strings.Join(res.Header[name], " & ")
		switch {
		case v == "", name == "Accept-Ranges" && res.Header.Get("Content-Encoding") != "", // ours alone has ranges of .gz files
			(page || lists.MatchString(request)) && name == "Content-Length":
			continue
		case name == "Content-Type" && lists.MatchString(request):
			v, _, _ = strings.Cut(v, "; charset=utf-8") // ours says it
		case name == "Expires":
			v = comparable(target, v)
		case name == "Cache-Control" && fixedExpiry(target):
			v = untilExpiry(res.Header, v)
		}
		fmt.Fprintf(&b, "%s: %s\n", name, v)
	}
	if !page {
		fmt.Fprintf(&b, "%q\n", body[:min(len(body), 1<<16)])
	}
	text := boundary.ReplaceAllString(b.String(), "BOUNDARY")
	return strings.NewReplacer("&#34;", "&quot;", "&#39;", "'").Replace(text)
}

// fromNow are the requests for files that expire some whole minutes, or a few
// seconds, from now. All others expire at a fixed time.
var fromNow = regexp.MustCompile(`^/exp/(hour|range|minus|zero|return|moved)/|[?]e=(1h|-5)$`)

func fixedExpiry(target string) bool { return !fromNow.MatchString(target) }

// comparable returns a date of expiry that can be compared although time passes between the
// answers: the date itself if it is fixed, or else the minutes from now, rounded.
func comparable(target, date string) string {
	at, err := http.ParseTime(date)
	if err != nil || fixedExpiry(target) {
		return date
	}
	return at.Sub(time.Now()).Round(time.Minute).String()
}

var maxAge = regexp.MustCompile(`max-age=(\d+)`)

// untilExpiry replaces a max-age that ends at the date of expiry, which grows
// smaller with every second, by a word. The clock's second may change between
// Date and max-age.
func untilExpiry(h http.Header, v string) string {
	age := maxAge.FindStringSubmatch(v)
	if age == nil {
		return v
	}
	seconds, _ := strconv.Atoi(age[1])
	date, dateErr := http.ParseTime(h.Get("Date"))
	expires, expiresErr := http.ParseTime(h.Get("Expires"))
	off := expires.Sub(date) - time.Duration(seconds)*time.Second
	if dateErr != nil || expiresErr != nil || off.Abs() > 2*time.Second {
		return v
	}
	return strings.Replace(v, age[0], "max-age=UNTIL", 1)
}

const sameServer = `
	root ROOT; absolute_redirect off;
	location / { }
	location /alias/ { alias ROOT/sub/; location ~ \.txt$ { add_header X-Nested yes; } }
	location ~ ^/re/(\w+)/(.*)$ { alias ROOT/$1/$2; }
	location = /one { alias ROOT/a.txt; }
	location /try/ { try_files $uri $uri/ $uri.txt /a.txt; }
	location /tryroot/ { root ROOT/sub; try_files /b.txt =404; }
	location /tryargs/ { try_files $uri /echo?x=1; }
	location /trynone/ { try_files $uri /echo; }
	location /trydir/ { try_files /dir2/ /echo; }
	location /tryalias/ { alias ROOT/sub/; try_files $uri b.txt =404; }
	location /tryalias2/ { alias ROOT/sub/; try_files $uri/ $uri =410; }
	location /tryalias3/ { alias ROOT/sub/; try_files $uri /tryalias3//tryalias3/a.txt?$args; }
	location /tryalias4/ { alias ROOT/sub/; try_files /tryalias4/a.txt $uri.txt /tryalias4//tryalias4/a.txt; }
	location /tryalias5/ { alias ROOT/sub; try_files b.txt /b.txt =410; }
	location /tryalias6/ { alias ROOT/sub/; try_files $uri$arg_x @named$arg_y; }
	location /tryword/ { try_files $uri a.txt; }
	location /trywords/ { try_files $arg_f a.txt =410; }
	location /trylast/ { try_files $uri $arg_f; }
	location /trynamed/ { try_files $uri @named; }
	location @named { return 200 "named $uri|$args"; }
	location /echo { return 200 "echo $uri|$args"; }
	location /list/ { autoindex on; }
	location /json/ { alias ROOT/list/; autoindex on; autoindex_format json; }
	location /sizes/ { alias ROOT/list/; autoindex on; autoindex_exact_size off; }
	location /empty/ { autoindex on; }
	location /exp/hour/ { alias ROOT/sub/; expires 1h; }
	location /exp/range/ { alias ROOT/sub/; expires 1h; add_header X-Nested yes; }
	location /exp/max/ { alias ROOT/sub/; expires max; add_header Cache-Control public; }
	location /exp/epoch/ { alias ROOT/sub/; expires epoch; }
	location /exp/minus/ { alias ROOT/sub/; expires -1; }
	location /exp/zero/ { alias ROOT/sub/; expires 0; }
	location /exp/daily/ { alias ROOT/sub/; expires @15h30m; }
	location /exp/modified/ { alias ROOT/sub/; expires modified +10y; }
	location /exp/past/ { alias ROOT/sub/; expires modified 1d; }
	location /exp/vars/ { alias ROOT/sub/; expires $arg_e; }
	location /exp/return/ { expires 1h; return 200 x; }
	location /exp/moved/ { expires 1h; return 301 /x; }
	location /ranges0/ { alias ROOT/sub/; max_ranges 0; }
	location /ranges1/ { alias ROOT/sub/; max_ranges 1; }
	location /gz/ { alias ROOT/sub/; gzip_static on; }
	location /gzalways/ { alias ROOT/sub/; gzip_static always; }
	location /before/ { alias ROOT/sub/; if_modified_since before; }
	location /off/ { alias ROOT/sub/; if_modified_since off; }
	location /noetag/ { alias ROOT/sub/; etag off; }
	location /idx/ { alias ROOT/sub/; index nothing.html $arg_i.txt /a.txt; }
	location /idxnone/ { alias ROOT/dir/; index nothing.html; }
	location /idxaway/ { alias ROOT/dir/; index /a.txt; }
	location /vars/ { return 200 "$document_root|$request_filename|$realpath_root"; }
	location /varsalias/ { alias ROOT/sub/; return 200 "$document_root|$request_filename|$realpath_root"; }
	location /err/ { error_page 404 /a.txt; }
	location /err200/ { error_page 404 =200 /a.txt; }
	location /errkeep/ { error_page 404 = /a.txt; }
	location /err405/ { error_page 405 =200 /a.txt; alias ROOT/sub/; }
	location /err403/ { error_page 403 =404 /dir2/; }
	location /err416/ { error_page 416 /b.html; alias ROOT/sub/; }
	location /host/ { root ROOT/$arg_r; }
	location = /gif { empty_gif; }
	location /gifs/ { empty_gif; expires max; if_modified_since before; location /gifs/inner/ { alias ROOT/sub/; } }
	location /giferr/ { empty_gif; error_page 405 =200 /gif; }
`

var sameRequests = []string{
	"GET /a.txt", "HEAD /a.txt", "POST /a.txt", "PUT /a.txt", "DELETE /nothing", "POST /nothing", "POST /dir2", "POST /dir2/", "POST /dir/", "PUT /dir/", "OPTIONS /a.txt",
	"GET /", "GET /nothing", "GET /nothing/", "GET /a.txt/", "GET /a.txt/x", "GET /noext", "GET /b.html", "GET /UP.HTML", "GET /x.unknown", "GET /empty.txt", "HEAD /empty.txt", "GET /big.bin",
	"GET /dir", "GET /dir/", "GET /dir2", "GET /dir2/", "GET /dir2?a=b", "HEAD /dir2", "GET /sp%20ace%20%26%20%3Cx%3E.txt", "GET /d%20ir", "GET /%C3%A9.txt", "GET /LONG", "GET /loop", "GET /link.txt", "GET /linkdir/a.txt", "GET /linkdir", "GET /broken",
	"GET /fifo", "GET /socket", "GET /.hidden", "GET /../a.txt", "GET /dir/../a.txt", "GET /%2e%2e/outside.txt", "GET /dir/%2e%2e/a.txt", "GET /..%2foutside.txt", "GET /a.txt%00", "GET /a.txt%20", "GET /dir%2f", "GET /./a.txt",
	"GET /alias/a.txt", "GET /alias/", "GET /alias/b.txt", "GET /alias/d", "GET /alias/d/", "GET /alias/nothing.txt", "GET /alias/nothing", "GET /alias", "GET /alias/../a.txt", "GET /alias/d?x=y",
	"GET /re/sub/a.txt", "GET /re/sub/", "GET /re/sub/d", "GET /re/nothing/a", "GET /one", "HEAD /one",
	"GET /try/a.txt", "GET /try/nothing", "GET /try/d", "GET /try/d/", "GET /try/c", "GET /try/d?q=1", "GET /tryroot/x", "GET /tryargs/x?y=2", "GET /trynone/x?y=2", "GET /trydir/x", "GET /trynamed/x?y=2", "GET /trynamed/", "GET /tryalias/a.txt", "GET /tryalias/x", "GET /tryalias2/d", "GET /tryalias2/d/", "GET /tryalias2/a.txt", "GET /tryalias2/x",
	"GET /tryalias3/a.txt", "GET /tryalias3/x?q=1", "GET /tryalias4/a", "GET /tryalias4/a.txt", "GET /tryalias4/x", "GET /tryalias5/x", "GET /tryalias6/a.txt", "GET /tryalias6/a?x=.txt", "GET /tryalias6/x",
	"GET /tryword/a.txt", "GET /tryword/x", "GET /trywords/x", "GET /trywords/x?f=a.txt", "GET /trywords/x?f=/a.txt", "GET /trylast/x?f=a.txt", "GET /trylast/x?f=/a.txt",
	"GET /list/", "GET /json/", "GET /sizes/", "GET /empty/", "HEAD /list/", "POST /list/", "GET /list", "GET /list/nothing/", "HEAD /json/",
	"GET /exp/range/a.txt|Range: bytes=999-", "GET /exp/range/a.txt|Range: bytes=0-0", "GET /exp/hour/a.txt", "GET /exp/max/a.txt", "GET /exp/epoch/a.txt", "GET /exp/minus/a.txt", "GET /exp/zero/a.txt", "GET /exp/daily/a.txt", "GET /exp/modified/a.txt", "GET /exp/past/a.txt", "GET /exp/hour/nothing", "GET /exp/hour/a.txt|If-Modified-Since: " + changedText, "GET /exp/hour/d", "GET /exp/return/", "GET /exp/moved/", "GET /exp/hour/a.txt|Range: bytes=0-1",
	"GET /exp/vars/a.txt?e=1h", "GET /exp/vars/a.txt?e=max", "GET /exp/vars/a.txt?e=off", "GET /exp/vars/a.txt?e=nonsense", "GET /exp/vars/a.txt?e=-5", "GET /exp/vars/a.txt?e=epoch", "GET /exp/vars/a.txt?e=@3h", "GET /exp/vars/a.txt",
	"GET /a.txt|Range: bytes=0-3", "GET /a.txt|Range: bytes=5-", "GET /a.txt|Range: bytes=-4", "GET /a.txt|Range: bytes=-0", "GET /a.txt|Range: bytes=-100", "GET /a.txt|Range: bytes=19-19", "GET /a.txt|Range: bytes=20-", "GET /a.txt|Range: bytes=20-30", "GET /a.txt|Range: bytes=10-100", "GET /a.txt|Range: bytes=5-2", "GET /a.txt|Range: bytes=0-0",
	"GET /a.txt|Range: bytes=0-1,3-4", "GET /a.txt|Range: bytes=0-1, 3-4", "GET /a.txt|Range: bytes=0-1,100-", "GET /a.txt|Range: bytes=0-15,5-19", "GET /a.txt|Range: bytes=0-9,10-19", "GET /a.txt|Range: bytes=100-,200-", "GET /a.txt|Range: bytes=x", "GET /a.txt|Range: bytes=", "GET /a.txt|Range: bytes=1", "GET /a.txt|Range: lines=0-1", "GET /a.txt|Range: BYTES=0-1", "GET /a.txt|Range: bytes=0 - 1", "GET /a.txt|Range: bytes=0-1;", "GET /a.txt|Range: bytes=--1",
	"GET /empty.txt|Range: bytes=0-", "GET /empty.txt|Range: bytes=-5", "GET /empty.txt|Range: bytes=1-", "HEAD /a.txt|Range: bytes=0-3", "GET /big.bin|Range: bytes=100-99999", "GET /big.bin|Range: bytes=0-1,150000-150003", "GET /ranges0/a.txt|Range: bytes=0-1", "GET /ranges1/a.txt|Range: bytes=0-1", "GET /ranges1/a.txt|Range: bytes=0-1,3-4", "GET /b.html|Range: bytes=0-0,2-2",
	"GET /a.txt|Range: bytes=0-3|If-Range: " + changedText, "GET /a.txt|Range: bytes=0-3|If-Range: Fri, 17 May 2024 10:20:31 GMT", `GET /a.txt|Range: bytes=0-3|If-Range: ETAG`, `GET /a.txt|Range: bytes=0-3|If-Range: "x"`, `GET /a.txt|Range: bytes=0-3|If-Range: W/ETAG`, "GET /a.txt|Range: bytes=0-3|If-Range: x", "GET /noetag/a.txt|Range: bytes=0-3|If-Range: ETAG",
	"GET /a.txt|If-Modified-Since: " + changedText, "GET /a.txt|If-Modified-Since: Fri, 17 May 2024 10:20:31 GMT", "GET /a.txt|If-Modified-Since: Fri, 17 May 2024 10:20:29 GMT", "GET /a.txt|If-Modified-Since: Friday, 17-May-24 10:20:30 GMT", "GET /a.txt|If-Modified-Since: Fri May 17 10:20:30 2024", "GET /a.txt|If-Modified-Since: nonsense",
	"GET /before/a.txt|If-Modified-Since: Fri, 17 May 2024 10:20:31 GMT", "GET /before/a.txt|If-Modified-Since: Fri, 17 May 2024 10:20:29 GMT", "GET /off/a.txt|If-Modified-Since: " + changedText,
	"GET /a.txt|If-None-Match: ETAG", "GET /a.txt|If-None-Match: W/ETAG", `GET /a.txt|If-None-Match: "x", ETAG`, "GET /a.txt|If-None-Match: *", `GET /a.txt|If-None-Match: "x"`, "HEAD /a.txt|If-None-Match: ETAG", "GET /noetag/a.txt|If-None-Match: ETAG", "GET /noetag/a.txt|If-None-Match: *", "GET /noetag/a.txt",
	"GET /a.txt|If-Match: ETAG", "GET /a.txt|If-Match: W/ETAG", `GET /a.txt|If-Match: "x"`, "GET /a.txt|If-Match: *", "GET /a.txt|If-Unmodified-Since: " + changedText, "GET /a.txt|If-Unmodified-Since: Fri, 17 May 2024 10:20:29 GMT", "GET /a.txt|If-Unmodified-Since: Fri, 17 May 2024 10:20:31 GMT", "GET /a.txt|If-Match: ETAG|Range: bytes=0-1", "GET /a.txt|If-None-Match: ETAG|Range: bytes=0-1",
	"GET /gz/a.txt", "GET /gz/a.txt|Accept-Encoding: gzip", "GET /gz/a.txt|Accept-Encoding: gzip;q=0", "GET /gz/a.txt|Accept-Encoding: deflate", "GET /gz/b.txt|Accept-Encoding: gzip", "GET /gz/only.txt|Accept-Encoding: gzip", "GET /gz/d|Accept-Encoding: gzip", "GET /gzalways/a.txt", "GET /gzalways/b.txt", "GET /gz/a.txt|Accept-Encoding: gzip|If-Modified-Since: " + changedText,
	"GET /err/x", "HEAD /err/x", "GET /err/x|If-None-Match: ETAG", "GET /err/x|Range: bytes=0-1", "GET /err/x|If-Match: *", "GET /err200/x", "GET /errkeep/x|Range: bytes=0-1",
	"POST /err405/a.txt", "PUT /err405/a.txt", "GET /err403/", "GET /err416/a.txt|Range: bytes=0-0",
	"GET /idx/?i=b", "GET /idx/?i=nothing", "GET /idx/", "GET /idxnone/", "GET /idxnone/nothing/", "GET /idx/nothing/", "GET /idx/nothing/?i=b", "GET /idx/d/", "GET /idxaway/", "GET /err200/x|Range: bytes=2-4", "GET /err200/x|If-Modified-Since: Fri, 17 May 2024 10:20:30 GMT", "GET /err200/x|If-Unmodified-Since: Fri, 17 May 2023 10:20:30 GMT", "GET /err200/x|Range: bytes=99-", "POST /err405/a.txt|Range: bytes=1-2", "GET /idxaway/nothing/", "GET /vars/a%20b", "GET /varsalias/a.txt", "GET /host/a.txt?r=sub", "GET /host/a.txt?r=nothing", "GET /host/a.txt",
	"GET /gif", "HEAD /gif", "POST /gif", "GET /gif|Range: bytes=0-3", "GET /gif|If-Modified-Since: " + gifChanged, "GET /gif|If-Modified-Since: Mon, 28 Sep 1970 06:00:01 GMT", "GET /gif|If-None-Match: *", `GET /gif|If-None-Match: "x"`, "GET /gif|If-Match: *", "GET /gif|If-Unmodified-Since: Mon, 28 Sep 1970 05:00:00 GMT",
	"GET /gifs/x", "GET /gifs/x|If-Modified-Since: Mon, 28 Sep 1970 06:00:01 GMT", "GET /gifs/inner/a.txt", "POST /giferr/", "GET /giferr/",
}

const gifChanged = "Mon, 28 Sep 1970 06:00:00 GMT"

// site makes the folder that both servers give out.
func sameFolder(t *testing.T) string {
	t.Helper()
	long := strings.Repeat("long", 14)
	www := folder(t, map[string]string{
		"a.txt": "0123456789abcdefghij", "b.html": "<p>", "UP.HTML": "<p>", "x.unknown": "?", "noext": "n", "empty.txt": "", "sp ace & <x>.txt": "s", "é.txt": "e", ".hidden": "h",
		"big.bin": strings.Repeat("0123456789", 20_000), "sub/a.txt": "sub a, rather long", "sub/a.txt.gz": "packed a", "sub/only.txt.gz": "packed", "sub/b.txt": "sub b", "sub/index.html": "sub index", "sub/d/index.html": "sub d", "dir/": "", "d ir/": "", "dir2/index.html": "dir2",
		"try/a.txt": "try a", "try/c.txt": "try c", "try/d/index.html": "try d", "empty/": "",
		"list/a.txt": "a", "list/b&<c>.txt": "b", "list/" + long: "l", "list/x:y": "x", "list/q?x#y%z": "q", "list/dir/": "", "list/Dir/": "", "list/.h": "h",
		"list/k": strings.Repeat("k", 15_000), "list/m": strings.Repeat("m", 1_600_000), "list/9999": strings.Repeat("n", 9999), "list/quote\"'": "", "list/" + long[:50]: "", "list/" + long[:49] + "/": "",
	})
	for name, to := range map[string]string{"loop": "loop", "link.txt": "a.txt", "linkdir": "sub", "broken": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(www, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(www, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(www, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chtimes(path, changed, changed)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return www
}

func TestAnswersAreThoseOfNginx(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		times int
	}{
		"without cache": {"", 1},
		"with cache":    {"open_file_cache max=1000; open_file_cache_errors on;", 3},
		"small cache":   {"open_file_cache max=2 inactive=1s; open_file_cache_min_uses 2;", 2},
	} {
		t.Run(name, func(t *testing.T) {
			www := sameFolder(t)
			ours, nginx := bothServe(t, www, c.text+sameServer)
			for _, r := range sameRequests {
				r = strings.ReplaceAll(r, "ETAG", fmt.Sprintf(`"%x-14"`, changed.Unix()))
				r = strings.ReplaceAll(r, "LONG", strings.Repeat("x", 300))
				for range c.times {
					if want, got := ask(t, nginx(), r), ask(t, ours(), r); got != want {
						t.Errorf("%s\n ours  %s\n nginx %s", r, got, want)
					}
				}
			}
		})
	}
}

// bothServe starts us and nginx with one server, in whose text ROOT is www,
// and returns how to connect to each.
func bothServe(t *testing.T, www, text string) (ours, nginx func() net.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nginx") // short: socket paths are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text = strings.ReplaceAll(text, "ROOT", www)
	proxytest.StartNginx(t, dir, "include /etc/nginx/mime.types; default_type text/plain; access_log off; server { listen unix:"+dir+"/sock; "+text+" }")
	s := start(t, www, "server { listen 80; default_type text/plain; "+text+" }")
	return func() net.Conn { return s.Dial("") }, func() net.Conn {
		nc, err := net.Dial("unix", filepath.Join(dir, "sock"))
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
}
