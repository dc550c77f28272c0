package rewrite

import "fmt"

// side is a server's text, and the requests for both servers. WWW is a folder; see files. HOST
// is the server's name. BACK and BACK2 are servers that answer with their name and the URI of
// the request.
type side struct {
	text    string
	targets []string
	fields  []string // of each request
}

// everyByte are paths with every byte but NUL, encoded.
func everyByte() (targets []string) {
	for c := 1; c < 256; c += 15 {
		target := "/"
		for i := c; i < min(c+15, 256); i++ {
			target += fmt.Sprintf("x%%%02x", i)
		}
		targets = append(targets, target)
	}
	return targets
}

// plain are targets whose encodings, arguments and slashes differ.
var plain = []string{"/", "/a", "/a/b?x=1", "/a%20b%2fc?q=%41&r", "/a+b;c", "/caf%C3%A9?é", "/x.php?a=b&c=d", "/A/B"}

var flags = []side{
	{text: `rewrite ^/a(.*)$ /b$1; location / { return 200 "$uri|$args|$is_args|$request_uri"; }`, targets: plain},
	{text: `rewrite ^/a(.*)$ /b$1; rewrite ^/b(.*)$ /c$1; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `rewrite ^/a(.*)$ /b$1 last; rewrite ^/b(.*)$ /c$1 last; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `rewrite ^/a(.*)$ /b$1 break; rewrite ^/b(.*)$ /c$1; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `rewrite ^/a(.*)$ /b$1; break; rewrite ^/b(.*)$ /c$1; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `location /a { rewrite ^/a(.*)$ /b$1 last; return 200 a; } location /b { return 200 "b $uri $args"; } location / { return 200 rest; }`, targets: plain},
	{text: `location /a { rewrite ^/a(.*)$ /b$1; set $y 1; } location /b { return 200 "b $uri $y"; } location / { return 200 rest; }`, targets: plain},
	{text: `location /a { rewrite ^/a(.*)$ /b$1; return 200 "stayed $uri"; } location /b { return 200 b; } location / { return 200 rest; }`, targets: plain},
	{text: `location /a { rewrite ^/a(.*)$ /a.txt break; return 200 never; } location / { return 200 rest; }`, targets: plain},
	{text: `location /a { rewrite ^ /a.txt; break; return 200 never; } location / { return 200 rest; }`, targets: plain},
	{text: `location /a { rewrite ^ /b; rewrite ^/b /c break; return 200 never; } location / { return 200 rest; }`, targets: plain},
	{text: `location / { rewrite ^/a(.*)$ /z$1 redirect; return 200 rest; }`, targets: plain},
	{text: `location / { rewrite ^/a(.*)$ /z$1 permanent; return 200 rest; }`, targets: plain},
	{text: `location / { rewrite ^/a(.*)$ https://other.test/z$1; return 200 rest; }`, targets: plain},
	{text: `location / { rewrite ^/a(.*)$ http://other.test/z$1 permanent; return 200 rest; }`, targets: plain},
	{text: `location / { rewrite ^/a(.*)$ http://other.test/z$1 last; return 200 rest; }`, targets: plain},
	{text: `location / { rewrite ^/a(.*)$ http://other.test/z$1 break; return 200 rest; }`, targets: plain},
	{text: `location / { rewrite ^/a(.*)$ $scheme://other.test$1; return 200 rest; }`, targets: plain},
	{text: `location / { rewrite ^ there redirect; }`, targets: plain},
	{text: `location / { rewrite ^ //there/x redirect; }`, targets: plain},
	{text: `absolute_redirect off; location / { rewrite ^/a /there redirect; }`, targets: plain},
	{text: `rewrite ^ https://$host$request_uri? permanent;`, targets: plain},
	{text: `rewrite ^ https://$host$uri permanent;`, targets: []string{"/", "/a?x=1", "/x?a=b%26c"}},
	{text: `rewrite ^ /; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `rewrite ^ ?; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `location / { rewrite ^ $arg_x last; }`, targets: []string{"/", "/?x=y", "/?x=/"}},
	{text: `location /a { rewrite ^/a/(.*)$ $1 last; } location / { return 200 "$uri"; }`, targets: []string{"/a/b", "/a/", "/a//"}},
	{text: `location / { rewrite ^/(.*)/$ /$1 permanent; return 200 "$uri"; }`, targets: []string{"/", "/a/", "/a/b/?c", "/a%20b/", "/a%3Fb/", "/a%26+b/", "/a%2525/", "/a%25/", "/%e2%82%ac/", "/€/"}},
}

var arguments = []side{
	{text: `location / { if ($arg_a-b) { return 200 "yes|$arg_a-b"; } return 200 "no|$arg_a-b"; }`, targets: []string{"/", "/?a-b=1", "/?a=1", "/?a-b=0", "/?A-B=1&a=2"}},
	{text: `location / { if ($arg_a.b = x) { return 200 yes; } if ($arg_a-b !~ ^x) { return 200 "not"; } return 200 no; }`, targets: []string{"/", "/?a.b=x", "/?a-b=x", "/?a-b=y"}},
	{text: `error_page 404 /1; location / { return 404; } location /rec { recursive_error_pages on; return 404; } location /1 { recursive_error_pages on; error_page 403 /2; return 403; } location /2 { error_page 410 =200 /3; return 410; } location /3 { return 200 "3 $status"; }`, targets: []string{"/", "/rec"}},
	{text: `error_page 404 /1; error_page 403 /2; recursive_error_pages on; location / { recursive_error_pages off; return 404; } location /rec { return 404; } location /1 { return 403; } location /2 { return 200 "2 $status"; }`, targets: []string{"/", "/rec"}},
	{text: `error_page 404 /1; error_page 403 /2; recursive_error_pages on; location / { return 404; } location /1 { recursive_error_pages off; return 403; } location /2 { return 404; }`, targets: []string{"/"}},
	{text: `error_page 404 @n; recursive_error_pages on; location / { return 404; } location @n { error_page 403 /2; return 403; } location /2 { return 200 "2 $status"; }`, targets: []string{"/"}},
	{text: `rewrite ^ /new?y=2; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `rewrite ^ /new?y=2?; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `rewrite ^ /new?; location / { return 200 "$uri|$args|$is_args"; }`, targets: plain},
	{text: `rewrite ^ /new??; location / { return 200 "$uri|$args|$is_args"; }`, targets: plain},
	{text: `rewrite ^/(.*)$ /new?p=$1; location / { return 200 "$uri|$args"; }`, targets: append(plain, "/a%26b", "/a%3Fb?c", "/%7F%01%25%23%5E%7C%22%3C%3E")},
	{text: `rewrite ^/(.*)$ /new?p=$1? break; location / { return 200 "$uri|$args|$arg_p"; }`, targets: plain},
	{text: `rewrite ^/(.*)$ /new?p=$1&q=$uri&r=$arg_x; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `rewrite ^/(.*)$ /new?$args&p=$1?; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `rewrite ^/(.*)$ /n/$1?a?b=$1; location / { return 200 "$uri|$args"; }`, targets: plain},
	{text: `rewrite ^/(.*)$ /new?p=$1 redirect;`, targets: append(plain, "/a%26b", "/a%3Fb?c", "/%7F%01%25%23%5E%7C%22%3C%3E")},
	{text: `rewrite ^/(.*)$ /new?p=$1? redirect;`, targets: plain},
	{text: `rewrite ^/(.*)$ /new%20$1%2Fx%3Fy%41 redirect;`, targets: plain},
	{text: `location / { rewrite ^ $arg_r? redirect; }`, targets: []string{"/?r=http%3A%2F%2Fb.test%2F%3Ffrom", "/?r=http%3A%2F%2Fb.test%0D%0Asplit", "/?r=http%3A%2F%2Fb.test%2F%3Ffrom%3Dblah"}},
	{text: `rewrite ^/((?s:.*))$ /new?p=$1; location / { return 200 "$uri|$args"; }`, targets: everyByte()},
	{text: `rewrite ^/((?s:.*))$ http://b.test/$1?p=$1 redirect;`, targets: everyByte()},
	{text: `rewrite ^ http://b.test$request_uri? redirect;`, targets: []string{"/blah%20%3Fblah", "/%41%7e%25?%41"}},
	{text: `rewrite ^(.*) http://b.test$1 redirect;`, targets: []string{"/blah%20%3Fblah", "/%41%7e%25?%41"}},
	{text: `rewrite ^ http://b.test/blah%20%3Fblah%2F redirect;`, targets: []string{"/", "/?arg=blah"}},
	{text: `rewrite ^/(.*)$ /new%2x$1%zz% redirect;`, targets: plain},
	{text: `rewrite ^/(.*)$ /new?%20%41=$1 redirect;`, targets: plain},
	{text: `rewrite ^/(?<section>[^/]+)/(?<page>.*)$ /$page?section=$section last; location / { return 200 "$uri|$args|$section|$page|$1|$2"; }`, targets: plain},
	{text: `rewrite ^/(a)(z)?(.*)$ /[$1][$2][$3][$4]; location / { return 200 "$uri"; }`, targets: plain},
	{text: `rewrite "^/([a-z]{1})(.*)$" /${args}_$1; location / { return 200 "$uri"; }`, targets: plain},
	{text: `rewrite ^/(?!api)(.*)$ /index.php/$1 last; location / { return 200 "$uri|$1"; }`, targets: append(plain, "/api", "/api/x", "/ap")},
	{text: `rewrite ^/(?<one>a)(?!q)(.*)$ /$one-$1-$2 last; location / { return 200 "$uri"; }`, targets: plain},
	{text: `rewrite (?i)^/a$ /found; location / { return 200 "$uri"; }`, targets: []string{"/a", "/A", "/b"}},
	{text: `rewrite ^/x\.php$ /found; location / { return 200 "$uri"; }`, targets: plain},
}

var sets = []side{
	{text: `set $x 1; location / { return 200 "$x"; }`, targets: []string{"/"}},
	{text: `set $x 1; location / { set $x "$x$x"; set $x "$x-$uri"; return 200 "$x"; }`, targets: plain},
	{text: `location / { return 200 "[$x]"; } location /a { set $x 2; return 200 "$x"; }`, targets: plain},
	{text: `set $Mixed 1; location / { return 200 "$mixed $MIXED $URI"; }`, targets: []string{"/a"}},
	{text: `set $args "y=2"; location / { return 200 "$args|$arg_y|$is_args|$query_string|$request_uri"; }`, targets: plain},
	{text: `set $args ""; location / { return 200 "$args|$is_args"; }`, targets: plain},
	{text: `location / { set $args "$args&z=1"; rewrite ^ /b last; } location /b { return 200 "$args"; }`, targets: plain},
	{text: `set $http_x_mine mine; set $arg_x yours; location / { return 200 "$http_x_mine $arg_x"; }`, targets: plain},
	{text: `location ~ ^/(a)(.*)$ { set $x "$1:$2"; return 200 "$x|$2"; }`, targets: plain},
	{text: `location ~ ^/(a)(.*)$ { rewrite ^/a /b break; set $x $2; return 200 "$x"; }`, targets: []string{"/a", "/ab/c"}},
	{text: `location / { if ($uri ~ ^/(a.*)$) { set $x $1; } return 200 "$x|$1"; }`, targets: plain},
	{text: `location / { if ($uri ~ ^/(a.*)$) { set $x $1; } if ($args ~ nothing) { } return 200 "$x|$1"; }`, targets: plain},
	{text: `location / { if ($uri ~ ^/(a.*)$) { set $x "<$1>"; } if ($x = "<$1>") { return 200 "same $x"; } return 200 "differs $x"; }`, targets: plain},
	{text: `location / { if ($uri ~ ^/(?<rest>.*)$) { rewrite ^ /t/$rest break; set $y "$rest"; } return 200 "$uri $y $rest"; }`, targets: plain},
	{text: `set $x $cookie_Name; location / { return 200 "$x $cookie_name"; }`, targets: []string{"/"}, fields: []string{"Cookie: name=v; other=w"}},
	{text: `set $a "${host}x"; set $b '$a$a'; location / { return 200 $b; }`, targets: []string{"/"}},
	{text: `location / { set $x first; break; set $x second; return 200 $x; } error_page 403 404 = /page; location = /page { return 200 "$x"; }`, targets: []string{"/none"}},
}

var conditions = []side{
	{text: `if ($arg_v) { return 200 yes; } return 200 no;`, targets: []string{"/", "/?v=", "/?v=0", "/?v=00", "/?v=1", "/?v=01", "/?v=no"}},
	{text: `location / { if ($arg_v = b) { return 200 yes; } return 200 no; }`, targets: []string{"/", "/?v=", "/?v=b", "/?v=B", "/?v=bb"}},
	{text: `location / { if ($arg_v != b) { return 200 yes; } return 200 no; }`, targets: []string{"/", "/?v=", "/?v=b", "/?v=B", "/?v=bb"}},
	{text: `location / { if ($arg_v = "") { return 200 yes; } return 200 no; }`, targets: []string{"/", "/?v=", "/?v=b"}},
	{text: `location / { if ( $arg_v = $arg_w ) { return 200 yes; } return 200 no; }`, targets: []string{"/", "/?v=&w=1", "/?v=b&w=b"}},
	{text: `location / { if ($arg_v ~ ^b(.)) { return 200 "yes $1"; } return 200 "no [$1]"; }`, targets: []string{"/", "/?v=b", "/?v=bc", "/?v=BC"}},
	{text: `location / { if ($arg_v ~* ^b(.)) { return 200 "yes $1"; } return 200 no; }`, targets: []string{"/", "/?v=b", "/?v=bc", "/?v=BC"}},
	{text: `location / { if ($arg_v !~ ^b(.)) { return 200 "yes $1"; } return 200 "no $1"; }`, targets: []string{"/", "/?v=b", "/?v=bc", "/?v=BC"}},
	{text: `location / { if ($arg_v !~* ^b(.)) { return 200 "yes $1"; } return 200 "no $1"; }`, targets: []string{"/", "/?v=b", "/?v=bc", "/?v=BC"}},
	{text: `location ~ ^/(.)(.*) { if ($arg_v ~ x) { return 200 "none [$1]"; } return 200 "[$1]"; }`, targets: []string{"/abc", "/abc?v=x"}},
	{text: `location ~ ^/(.)(.*) { if ($arg_v !~ x) { } return 200 "[$1]"; }`, targets: []string{"/abc", "/abc?v=x"}},
	{text: `if ($request_method !~ ^(GET|HEAD|POST)$ ) { return 444; } return 200 ok;`, targets: []string{"/"}},
	{text: `if ($http_user_agent ~* "(bot|crawl)") { return 403; } return 200 ok;`, targets: []string{"/"}, fields: []string{"User-Agent: GoogleBOT"}},
	{text: `if ($http_user_agent ~* "(bot|crawl)") { return 403; } return 200 ok;`, targets: []string{"/"}, fields: []string{"User-Agent: Firefox"}},
	{text: `if ($http_cookie ~* "id=([^;]+)(?:;|$)") { set $id $1; } return 200 "$id";`, targets: []string{"/"}, fields: []string{"Cookie: a=b; id=17; c=d"}},
	{text: `if ($host = HOST) { return 301 https://$host$request_uri; } return 404;`, targets: plain},
	{text: `location / { if (-f $request_filename) { return 200 file; } return 200 none; }`, targets: tested},
	{text: `location / { if (!-f $request_filename) { return 200 none; } return 200 file; }`, targets: tested},
	{text: `location / { if (-d $request_filename) { return 200 folder; } return 200 none; }`, targets: tested},
	{text: `location / { if (!-d $request_filename) { return 200 none; } return 200 folder; }`, targets: tested},
	{text: `location / { if (-e $request_filename) { return 200 there; } return 200 none; }`, targets: tested},
	{text: `location / { if (!-e $request_filename) { return 200 none; } return 200 there; }`, targets: tested},
	{text: `location / { if (-x $request_filename) { return 200 runs; } return 200 none; }`, targets: tested},
	{text: `location / { if (!-x $request_filename) { return 200 none; } return 200 runs; }`, targets: tested},
	{text: `if (-f $document_root/maintenance.html) { return 503; } return 200 up;`, targets: []string{"/"}},
	{text: `if (-f $document_root/a.txt) { return 503; } return 200 up;`, targets: []string{"/"}},
	{text: `location / { if (-e "") { return 200 there; } if (-e /dev/null) { return 200 device; } return 200 none; }`, targets: []string{"/"}},
	{text: `location / { if (!-e $request_filename) { rewrite ^(.+)$ /index.php?q=$1 last; } } location ~ \.php$ { return 200 "$uri?$args"; }`, targets: append(tested, "/no/such?x=1")},
	{text: `if ($arg_v) { set $x 1; rewrite ^ /in break; } rewrite ^ /out$uri; location / { return 200 "$uri $x"; }`, targets: []string{"/", "/?v=1"}},
	{text: `if ($arg_v) { break; } return 200 out;`, targets: []string{"/a.txt", "/a.txt?v=1"}},
	{text: `location / { if ($arg_v) { rewrite ^ /b last; } return 200 "out $uri"; } location /b { return 200 "in $uri"; }`, targets: []string{"/", "/?v=1"}},
}

var tested = []string{"/a.txt", "/sub", "/sub/", "/run.sh", "/link", "/dangling", "/none", "/a.txt/x", "/"}

var blocksOfLocations = []side{
	{text: `location / { add_header X-A outer; if ($arg_v) { add_header X-A inner; } return 200 ok; }`, targets: []string{"/", "/?v=1"}},
	{text: `location / { add_header X-A outer; if ($arg_v) { } return 200 ok; }`, targets: []string{"/", "/?v=1"}},
	{text: `add_header X-A outer; location / { if ($arg_v) { add_header X-B one; } if ($arg_w) { add_header X-B two; } root WWW; }`, targets: []string{"/a.txt", "/a.txt?v=1", "/a.txt?w=1", "/a.txt?v=1&w=1", "/none?v=1"}},
	{text: `location / { if ($arg_v) { root WWW/sub; } }`, targets: []string{"/index.html", "/index.html?v=1", "/a.txt", "/a.txt?v=1", "/?v=1"}},
	{text: `location / { if ($arg_v) { expires -1; } }`, targets: []string{"/a.txt", "/a.txt?v=1"}},
	{text: `location / { if ($arg_v) { error_page 404 /page; } } location = /page { return 200 "page $uri"; }`, targets: []string{"/none", "/none?v=1"}},
	{text: `location / { error_page 404 /page; if ($arg_v) { expires -1; } } location = /page { return 200 "page $uri"; }`, targets: []string{"/none", "/none?v=1"}},
	{text: `location / { if ($arg_v) { proxy_pass http://BACK; } }`, targets: []string{"/a.txt", "/a.txt?v=1"}},
	{text: `location / { proxy_pass http://BACK; if ($arg_v) { add_header X-A inner; } }`, targets: []string{"/a.txt", "/a.txt?v=1"}},
	{text: `location / { proxy_pass http://BACK; if ($arg_v) { return 403; } }`, targets: []string{"/a.txt", "/a.txt?v=1"}},
	{text: `location / { proxy_pass http://BACK; if ($arg_v) { proxy_pass http://BACK2; } }`, targets: []string{"/a.txt", "/a.txt?v=1"}},
	{text: `location / { if ($arg_v) { proxy_pass http://BACK; } if ($arg_w) { proxy_pass http://BACK2; } }`, targets: []string{"/a.txt", "/a.txt?v=1", "/a.txt?w=1", "/a.txt?v=1&w=1"}},
	{text: `location / { try_files /a.txt =404; if ($arg_v) { add_header X-A inner; } }`, targets: []string{"/none", "/none?v=1"}},
	{text: `location /al/ { alias WWW/sub/; if ($arg_v) { add_header X-A inner; } }`, targets: []string{"/al/index.html", "/al/index.html?v=1", "/al/?v=1"}},
	{text: `location ~ ^/al/(.*)$ { alias WWW/sub/$1; if ($arg_v) { add_header X-A inner; } }`, targets: []string{"/al/index.html", "/al/index.html?v=1"}},
	{text: `location /sub { if ($arg_v) { add_header X-A inner; } location /sub/deep { return 200 "deep"; } }`, targets: []string{"/sub/index.html?v=1", "/sub/deep", "/sub/deep?v=1"}},
	{text: `location / { if ($arg_v) { add_header X-A inner; rewrite ^ /b last; } return 200 out; } location /b { return 200 "b"; }`, targets: []string{"/", "/?v=1"}},
	{text: `location / { if ($arg_v) { add_header X-A inner; rewrite ^ /a.txt break; } }`, targets: []string{"/none", "/none?v=1"}},
	{text: `location / { set $x 1; if ($x) { set $x 0; } if ($x) { return 200 never; } return 200 "$x"; }`, targets: []string{"/"}},
	{text: `add_header X-A server; return 200 ok;`, targets: []string{"/"}},
	{text: `add_header X-A server; error_page 404 /page; location = /page { return 200 "page"; } if ($arg_v) { return 404; } return 301 /x;`, targets: []string{"/", "/?v=1"}},
	{text: `location / { if ($request_method = GET) { add_header X-A "*"; add_header X-B "GET, POST" always; add_header Content-Type "text/plain; charset=utf-8"; return 204; } }`, targets: []string{"/"}},
	{text: `location / { if ($http_origin ~* (^https?://([^/]+\.)*(a|b)\.test$)) { add_header X-A $http_origin; add_header X-B $3; } root WWW; }`, targets: []string{"/a.txt", "/none"}, fields: []string{"Origin: https://www.a.test"}},
	{text: `location / { if ($http_x_forwarded_proto != "https") { return 301 https://$host$request_uri; } root WWW; }`, targets: plain},
	{text: `location ~* ^/(?<name>[a-z]+)(/.*)?$ { if ($name = a) { set $rest $2; } return 200 "$name $rest $2"; }`, targets: plain},
	{text: `location / { if ($arg_v) { sendfile off; set $v 1; } if ($v) { add_header X-A $v; } root WWW; }`, targets: []string{"/a.txt?v=1", "/a.txt"}},
	{text: `location / { gzip on; gzip_min_length 1; gzip_types *; if ($arg_v) { gzip off; } return 200 "long enough to be worth it, long enough to be worth it"; }`, targets: []string{"/", "/?v=1"}, fields: []string{"Accept-Encoding: gzip"}},
}

var rounds = []side{
	{text: `location / { rewrite ^/(.*)$ /x$1 last; }`, targets: []string{"/"}},
	{text: `location / { rewrite "^/(x{0,8})$" /x$1 last; return 200 "$uri"; }`, targets: []string{"/"}},
	{text: `location / { rewrite "^/(x{0,9})$" /x$1 last; return 200 "$uri"; }`, targets: []string{"/"}},
	{text: `location / { rewrite "^/(x{0,10})$" /x$1 last; return 200 "$uri"; }`, targets: []string{"/"}},
	{text: `error_page 500 /oops; location / { rewrite ^ /y last; } location = /oops { return 200 "oops $uri"; }`, targets: []string{"/"}},
	{text: `error_page 500 /oops; location / { rewrite ^ /y last; }`, targets: []string{"/"}},
	{text: `error_page 404 /page; rewrite ^/page$ /other; location = /other { return 200 "$uri"; } location / { return 404; }`, targets: []string{"/", "/page", "/other"}},
	{text: `error_page 404 /page; return 404; location = /page { return 200 page; }`, targets: []string{"/"}},
	{text: `error_page 404 /page; location = /page { rewrite ^ /a.txt last; } location / { }`, targets: []string{"/none"}},
	{text: `error_page 404 @named; location @named { rewrite ^ /a.txt last; } location / { }`, targets: []string{"/none"}},
	{text: `error_page 404 @named; location @named { rewrite ^ /a.txt break; } location / { }`, targets: []string{"/none"}},
	{text: `error_page 404 = @named; location @named { rewrite ^/(.*)$ /index.php?q=$1 last; } location ~ \.php { return 200 "$uri|$args"; } location / { }`, targets: []string{"/none/x?y=1", "/no%20ne"}},
	{text: `location / { try_files $uri @front; } location @front { rewrite ^/(.*)$ /index.php?q=$1 last; } location ~ \.php { return 200 "$uri|$args"; }`, targets: []string{"/none/x?y=1", "/a.txt", "/no%20ne"}},
	{text: `location / { try_files $uri /front?z=$args; } location /front { rewrite ^ /last?k=v last; } location /last { return 200 "$uri|$args"; }`, targets: []string{"/none/x?y=1", "/a.txt"}},
	{text: `rewrite ^/sub/index.html$ /a.txt; location / { index index.html; }`, targets: []string{"/sub/", "/sub/index.html"}},
	{text: `location / { index index.html; } location = /sub/index.html { rewrite ^ /a.txt last; }`, targets: []string{"/sub/"}},
	{text: `location = /in { internal; return 200 inside; } location / { rewrite ^ /in last; }`, targets: []string{"/", "/in"}},
	{text: `rewrite ^/go$ /in; location = /in { internal; return 200 inside; }`, targets: []string{"/go", "/in"}},
	{text: `error_page 302 /page; location = /page { return 200 "page"; } location / { rewrite ^ /x redirect; }`, targets: []string{"/"}},
	{text: `set $n "$n."; error_page 404 = /page; location = /page { return 200 "$n"; } location / { set $n "$n:"; return 404; }`, targets: []string{"/"}},
	{text: `set $n "$n."; error_page 404 = @page; location @page { return 200 "$n"; } location / { set $n "$n:"; return 404; }`, targets: []string{"/"}},
	{text: `set $n "$n."; location / { set $n "$n:"; rewrite ^ /b last; } location /b { return 200 "$n"; }`, targets: []string{"/"}},
	{text: `if ($host ~ (h)) { set $x $1; } error_page 404 = /zz/y; location ~ ^/(z+)/ { return 200 "$1 $x"; } location / { return 404; }`, targets: []string{"/", "/z/"}},
	{text: `error_page 404 405 /page; location = /page { return 405; } location / { return 404; }`, targets: []string{"/", "/page"}},
	{text: `error_page 405 /page; location = /page { return 204; } location / { return 405; }`, targets: []string{"/"}},
	{text: `error_page 405 /page; location = /page { return 200; } location / { return 405; }`, targets: []string{"/"}},
	{text: `error_page 405 /page; location = /page { return 302 /to; } location / { return 405; }`, targets: []string{"/"}},
	{text: `error_page 405 /page; location = /page { rewrite ^ /to permanent; } location / { return 405; }`, targets: []string{"/"}},
	{text: `error_page 405 /sub; location / { } location = /none { return 405; }`, targets: []string{"/none"}},
	{text: `error_page 302 /page; location = /page { return 200 text; } location / { return 302 /to; }`, targets: []string{"/"}},
	{text: `error_page 301 =200 /page; location = /page { return 200 text; } location / { rewrite ^ /to permanent; }`, targets: []string{"/"}},
	{text: `location / { rewrite ^(.*) $1?c=d; return 200 "$uri|$args"; } location /dup { rewrite ^(.*) $1?c=$1; return 200 "$uri|$args"; }`, targets: []string{"/x/%25?a=b", "/dup/%25?a=b"}},
	{text: `recursive_error_pages on; error_page 404 /b; error_page 403 /c; location /b { return 403; } location /c { rewrite ^ /d last; } location /d { return 200 "$uri $status"; } location / { return 404; }`, targets: []string{"/"}},
	{text: `location / { rewrite ^/(.*)$ /../$1 break; }`, targets: []string{"/none"}},
	{text: `location /api/ { rewrite ^/api/(.*)$ /$1 break; proxy_pass http://BACK; }`, targets: []string{"/api/", "/api/x?y=1", "/api/a/b"}},
}

// preconditions are texts that are asked for under a condition (RFC 9110 section 13).
func preconditions() (all []side) {
	const text = `location / { return 200 text; } location /made { return 201 made; } location /page { error_page 404 =200 /; return 404; } location /empty { return 200; } location /moved { return 302 /x; }`
	for _, fields := range [][]string{
		{"If-None-Match: *"}, {"If-None-Match: \"a\""}, {"If-None-Match: *", "If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"}, {"If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"},
		{"If-Match: *"}, {"If-Match: \"a\""}, {"If-Unmodified-Since: Mon, 02 Jan 2006 15:04:05 GMT"}, {"If-Match: *", "If-None-Match: *"}, {"If-Unmodified-Since: x"},
	} {
		all = append(all, side{text: text, targets: []string{"/", "/made", "/page", "/empty", "/moved"}, fields: fields})
	}
	return all
}
