package main

import (
	"slices"
	"strings"
)

// location adds a location, and a path that it may serve to those that requests ask for.
func (f *nginxFile) location(s *confBlock, rule string, targets ...string) *confBlock {
	l := s.block("location "+rule, "location")
	f.locations = append(f.locations, l)
	f.targets = append(f.targets, targets...)
	return l
}

// site adds to a server what people have for a site of the file's kind.
func (f *nginxFile) site(s *confBlock) {
	s.add("root DIR/www" + pick(f.r, "", "", "/"))
	if f.chance(50) || f.passes == "fastcgi" {
		s.add("index " + pick(f.r, "index.html", "index.html index.htm", "index.php index.html", "index.php"))
	}
	f.errorPages(s)
	f.conditions(s)
	f.headers(s, 15)
	switch f.passes {
	case "fastcgi":
		f.php(s)
	case "":
		f.files(s)
	default:
		f.application(s)
	}
	for _, c := range f.corners() {
		if slices.Contains(s.rules(), c.rule) || !f.chance(c.percent) {
			continue
		}
		c.fill(f.location(s, c.rule, c.targets...))
	}
}

// rules are what stands for the locations of a server.
func (b *confBlock) rules() (rules []string) {
	for _, item := range b.items {
		if inner, ok := item.(*confBlock); ok {
			rules = append(rules, strings.TrimPrefix(inner.head, "location "))
		}
	}
	return rules
}

// corner is a location that sites have beside their content.
type corner struct {
	rule    string
	percent int
	targets []string
	fill    func(l *confBlock)
}

// corners are the usual ones, with the contents that this file would have.
func (f *nginxFile) corners() []corner {
	r := f.r
	alone := func(lines ...string) func(*confBlock) { return func(l *confBlock) { l.add(lines...) } }
	some := []string{"/static/site.css", "/static/app.js", "/static/", "/static", "/static/none.css", "/static/a%20b.txt", "/static/../index.html"}
	media := []string{"/media/pic.png", "/media/none", "/media/", "/media"}
	all := []corner{
		{"/static/", 30, some, alone(pick(r, "alias DIR/www/static/", "root DIR/www", "alias DIR/www/static/"), pick(r, "expires 30d", "access_log off", "expires max", "autoindex off"))},
		{"/static", 20, some, alone(pick(r, "alias DIR/www/static", "root DIR/www"), pick(r, "autoindex on", "log_not_found off", "expires 1y"))},
		{"^~ /static/", 5, some, alone("root DIR/www")},
		{"/media", 18, media, alone(pick(r, "alias DIR/www/media", "root DIR/www"))},
		{"/media/", 10, media, alone("alias DIR/www/media/", "expires "+pick(r, "7d", "$life"))},
		{"= /favicon.ico", 25, []string{"/favicon.ico"}, alone("access_log off", "log_not_found off", pick(r, "return 204", "expires max", "alias DIR/www/favicon.ico", "empty_gif"))},
		{"= /robots.txt", 15, []string{"/robots.txt"}, alone(pick(r, "allow all", "access_log off", "return 200 \"User-agent: *\\nDisallow: /\"", "root DIR/www", "alias DIR/www/robots.txt"))},
		{`~ /\.`, 14, []string{"/.htaccess", "/.git/config"}, alone(pick(r, "deny all", "deny all", "return 404", "return 403"))},
		{`~ /\.ht`, 10, []string{"/.htaccess"}, alone("deny all")},
		{`~* \.(css|js|png|gif|ico|txt)$`, 14, []string{"/static/site.css", "/STATIC/SITE.CSS", "/robots.txt", "/static/none.js"}, func(l *confBlock) {
			l.add("expires " + pick(r, "30d", "max", "1h", "-1"))
			f.headers(l, 30)
			if f.chance(20) {
				l.add("try_files $uri " + pick(r, "=404", "/index.html", "/index.php?$query_string"))
			}
		}},
		{`~ ^/(img|images)/(.*)$`, 5, []string{"/img/pic.png", "/images/none"}, alone("alias DIR/www/media/$2")},
		{"/protected/", 8, []string{"/protected/file.txt"}, alone("internal", pick(r, "alias DIR/www/hidden/", "root DIR/www"))},
		{"/admin", 10, []string{"/admin", "/admin/", "/admin/x"}, f.guard},
		{"= /health", 6, []string{"/health", "/health/"}, alone(pick(r, `return 200 "healthy\n"`, "return 204", "return 200", `return 200 'ok $host $near'`), pick(r, "access_log off", "default_type text/plain", "add_header Content-Type text/plain"))},
		{"/old/", 5, []string{"/old/a/b?c=d", "/old/"}, alone("rewrite ^/old/(.*)$ " + pick(r, "/new/$1 permanent", "/new/$1 redirect", "/index.html last", "/static/site.css break", "/new/$1? permanent", "http://example.com/$1"))},
		{"/docs/", 6, []string{"/docs/", "/docs", "/docs/a.txt"}, alone("autoindex on", pick(r, "autoindex_exact_size off", "autoindex_localtime off", "autoindex_format json", "charset utf-8"))},
		{"/near", 3, []string{"/near/x"}, func(l *confBlock) {
			l.block("if ($near)", "if").add(`return 200 "near $near $tenant"`)
			l.add("return 403")
		}},
		{`~* ^/wp-(login|admin)`, 3, []string{"/wp-login.php"}, alone(pick(r, "return 444", "deny all", "return 404"))},
		{"/nested/", 3, []string{"/nested/x.css", "/nested/y"}, func(l *confBlock) {
			l.add("alias DIR/www/static/")
			inner := l.block(`location ~ \.css$`, "location")
			inner.add("return 410")
		}},
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// guard adds rules of who may come.
func (f *nginxFile) guard(l *confBlock) {
	if f.chance(60) {
		l.add("auth_basic "+pick(f.r, `"Restricted"`, `"Admin $host"`), "auth_basic_user_file "+pick(f.r, "DIR/htpasswd", "htpasswd"))
	}
	if f.chance(50) {
		l.add("satisfy " + pick(f.r, "any", "any", "all"))
	}
	switch f.r.IntN(5) {
	case 0:
		l.add("allow 127.0.0.1", "deny all")
	case 1:
		l.add("allow 10.0.0.0/8", "allow ::1", "deny all")
	case 2:
		l.add("deny 127.0.0.1")
	case 3:
		l.block("limit_except GET", "limit_except").add(pick(f.r, "deny all", "allow 10.0.0.1", "deny 127.0.0.1"))
	}
	switch {
	case f.passes == "proxy" || f.passes == "uwsgi":
		f.pass(l)
	case f.chance(50):
		l.add("alias DIR/www/docs")
	}
}

// errorPages adds pages of errors.
func (f *nginxFile) errorPages(s *confBlock) {
	if f.chance(14) {
		page := pick(f.r, "/500.html", "/50x.html")
		s.add("error_page 500 502 503 504 " + page)
		l := f.location(s, "= "+page, page)
		l.add("root DIR/www")
		if f.chance(30) {
			l.add("internal")
		}
	}
	if f.chance(8) {
		s.add("error_page 404 " + pick(f.r, "/404.html", "=200 /index.html", "/absent.html", "= /404.html", "http://example.com/"))
	}
	if f.chance(3) {
		s.add("error_page 403 " + pick(f.r, "=404 /404.html", "/404.html"))
	}
	if f.chance(3) {
		s.add("error_page 405 " + pick(f.r, "=200 $uri", "/404.html"))
	}
}

// conditions adds what people write with if, set and rewrite in a server.
func (f *nginxFile) conditions(s *confBlock) {
	if !f.chance(22) {
		return
	}
	switch f.r.IntN(11) {
	case 0:
		s.block("if ($host != example.com)", "if").add("return 301 http://example.com$request_uri")
	case 1:
		s.block("if ($http_user_agent ~* (bot|crawler|wget))", "if").add("return 403")
	case 2:
		s.block("if ($request_method !~ ^(GET|HEAD|POST)$ )", "if").add("return " + pick(f.r, "405", "444"))
	case 3:
		s.block("if (-f DIR/www/maintenance.html)", "if").add("return 503")
	case 4:
		s.add("set $moved_here 0")
		s.block("if ($uri ~ ^/old)", "if").add("set $moved_here 1")
		s.block("if ($moved_here = 1)", "if").add("return 410")
	case 5:
		s.block("if ($is_bot)", "if").add("return 403")
	case 6:
		s.block("if ($args ~ (^|&)debug=(?<level>[0-9]+))", "if").add(`return 200 "level $level"`)
	case 7:
		s.block(`if ($host ~* ^www\.(.*))`, "if").add("set $bare $1", "rewrite ^(.*)$ http://$bare$1 permanent")
	case 8:
		s.add("rewrite ^/old/(.*)\\.html$ /$1 " + pick(f.r, "last", "permanent", "break", "redirect"))
	case 9:
		s.add("rewrite ^/(.*)/$ /$1 permanent")
	case 10:
		s.block("if ($http_cookie ~* \"session=([^;]+)\")", "if").add("set $session $1")
		s.add("add_header X-Session $session")
	}
	if f.chance(10) {
		s.add("expires $life")
	}
}

// headers adds fields to answers.
func (f *nginxFile) headers(b *confBlock, percent int) {
	for f.chance(percent) {
		b.add("add_header " + pick(f.r, "X-Frame-Options SAMEORIGIN", "X-Content-Type-Options nosniff", `Strict-Transport-Security "max-age=31536000; includeSubDomains" always`, `X-XSS-Protection "1; mode=block"`,
			"Cache-Control public", `Cache-Control "public, must-revalidate, proxy-revalidate"`, "Access-Control-Allow-Origin *", "Access-Control-Allow-Origin $http_origin", "X-Tenant $tenant", "Pragma public",
			`P3P 'CP="NOI DSP"'`, "X-Host $host always", `X-Empty ""`, "Vary Accept-Encoding", "X-Args $args", "X-Scheme $outer_scheme"))
		percent = 50
	}
}

// application adds an application that requests are passed on to.
func (f *nginxFile) application(s *confBlock) {
	f.targets = append(f.targets, "/", "/app/x?y=z", "/a%20b/c", "/redirect", "/cookie", "/missing", "/error", "/big", "/cached", "/accel", "/nocontent", "/typed", "/unavailable", "/static/site.css")
	root := f.location(s, "/", "/page/")
	named := func() {
		if !slices.Contains(s.rules(), "@app") {
			f.pass(f.location(s, "@app"))
		}
	}
	switch f.r.IntN(10) {
	case 0, 1:
		root.add("try_files " + pick(f.r, "$uri @app", "$uri $uri/ @app", "$uri/index.html $uri.html $uri @app", "DIR/absent @app"))
		named()
	case 2:
		if f.passes == "proxy" {
			f.fields(root)
			root.block("if (!-f $request_filename)", "if").add("proxy_pass http://app", "break")
		} else {
			f.pass(root)
		}
	case 3:
		root.add("error_page 404 = @app", "log_not_found off")
		named()
	default:
		f.pass(root)
	}
	if f.chance(20) {
		l := f.location(s, pick(f.r, "/api/", "/api", "~ ^/api/", "= /api/x"), "/api/x?y=z", "/api/", "/api", "/api/a%2Fb/../c")
		f.passOn(l, !strings.HasPrefix(l.head, "location ~"))
	}
	if f.chance(8) && f.passes == "proxy" {
		l := f.location(s, pick(f.r, "/ws/", "/socket.io/"), "/ws/x", "/socket.io/?a=b")
		f.pass(l)
		l.add("proxy_set_header Upgrade $http_upgrade", `proxy_set_header Connection "upgrade"`)
	}
}

// pass has a location pass requests on as they are.
func (f *nginxFile) pass(l *confBlock) { f.passOn(l, false) }

// passOn has a location pass requests on, perhaps with another path.
func (f *nginxFile) passOn(l *confBlock, replaced bool) {
	l.passes = f.passes
	if f.passes == "uwsgi" {
		l.add("include " + pick(f.r, "uwsgi_params", "/etc/nginx/uwsgi_params"))
		place := pick(f.r, "app", "app", "uwsgi://app", f.origin())
		l.add("uwsgi_pass " + place)
		return
	}
	f.fields(l)
	if f.chance(1) { // with the length, too: the application waits for a body else
		l.add("proxy_pass_request_body off", `proxy_set_header Content-Length ""`)
	}
	path := ""
	if replaced && f.chance(60) {
		path = pick(f.r, "/", "/v1/", "/v1", "/typed?")
	}
	place := f.origin()
	switch f.r.IntN(10) {
	case 0, 1:
		if strings.HasPrefix(place, "unix:") && path != "" {
			path = ":" + path
		}
		l.add("proxy_pass http://" + place + path)
	case 2:
		if !strings.HasPrefix(place, "unix:") {
			l.add("set $backend "+place, "proxy_pass http://$backend"+pick(f.r, "", "$request_uri", "$uri$is_args$args"))
			return
		}
		l.add("proxy_pass http://" + place)
	default:
		l.add("proxy_pass http://app" + path)
	}
}

// fields adds the header fields that applications behind a proxy want.
func (f *nginxFile) fields(l *confBlock) {
	if f.chance(13) {
		l.add("include " + pick(f.r, "proxy_params", "/etc/nginx/proxy_params"))
		return
	}
	for _, field := range []struct {
		percent int
		forms   []string
	}{
		{85, []string{"Host $http_host", "Host $host", "Host $host", "Host $http_host", "Host $server_name", "Host $host:$server_port", "Host $proxy_host", "Host example.com"}},
		{75, []string{"X-Forwarded-For $proxy_add_x_forwarded_for", "X-Forwarded-For $proxy_add_x_forwarded_for", "X-Forwarded-For $remote_addr"}},
		{50, []string{"X-Real-IP $remote_addr", "X-Real-IP $remote_addr", "X-Real-Ip $http_x_real_ip"}},
		{36, []string{"X-Forwarded-Proto $scheme", "X-Forwarded-Proto $scheme", "X-Forwarded-Proto https", "X-Forwarded-Proto $outer_scheme", "X-Forwarded-Protocol $scheme"}},
		{18, []string{`Connection ""`, `Connection "upgrade"`, "Connection $connection_upgrade", "Connection $http_connection"}},
		{16, []string{"Upgrade $http_upgrade"}},
		{13, []string{"X-Forwarded-Host $host", "X-Forwarded-Host $server_name", "X-Forwarded-Host $host:$server_port"}},
		{10, []string{"X-Forwarded-Port $server_port", "X-Forwarded-Port 443"}},
		{6, []string{`X-Queue-Start "t=${msec}"`, `X-Request-Start "t=${msec}"`, `X-Request-Start $msec`}},
		{4, []string{`Accept-Encoding ""`, "Authorization $http_authorization", "Cookie $http_cookie", "X-Script-Name /app", "X-Original-URI $request_uri", "Range $http_range"}},
	} {
		if f.chance(field.percent) {
			l.add("proxy_set_header " + pick(f.r, field.forms...))
		}
	}
}

// php adds a site of PHP.
func (f *nginxFile) php(s *confBlock) {
	f.targets = append(f.targets, "/", "/index.php", "/index.php/a/b?c=d", "/none.php", "/blog/", "/a/b?c=d", "/info.php", "/static/site.css", "/redirect", "/missing", "/cookie", "/typed", "/error", "/big", "/accel")
	root := f.location(s, "/")
	root.add("try_files " + pick(f.r, "$uri $uri/ /index.php?$args", "$uri $uri/ /index.php?$query_string", "$uri $uri/ /index.php$is_args$args", "$uri /index.php", "$uri $uri/ =404", "$uri @rewrite", "$uri $uri/ /index.php?q=$uri&$args"))
	if strings.Contains(root.items[0].(string), "@rewrite") {
		f.location(s, "@rewrite").add("rewrite " + pick(f.r, "^/(.*)$ /index.php?q=$1", "^ /index.php", "^(.*)$ /index.php/$1 last"))
	}
	l := f.location(s, pick(f.r, `~ \.php$`, `~ \.php$`, `~ \.php(/|$)`, `~ [^/]\.php(/|$)`, `~* \.php$`, `~ ^/(index|info)\.php(/|$)`, `~ ^(.+\.php)(.*)$`))
	l.passes = "fastcgi"
	switch f.r.IntN(5) {
	case 0:
		l.add("include snippets/fastcgi-php.conf")
	case 1:
		l.add("try_files $uri =404", "include fastcgi_params", "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name")
	case 2:
		l.add("include fastcgi.conf")
	case 3:
		l.add(`fastcgi_split_path_info ^(.+\.php)(/.+)$`, "fastcgi_index index.php", "include fastcgi_params", "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name", "fastcgi_param PATH_INFO $fastcgi_path_info")
	case 4:
		l.add("include /etc/nginx/fastcgi_params", "fastcgi_param SCRIPT_FILENAME DIR/www$fastcgi_script_name", "fastcgi_param HTTPS "+pick(f.r, "$https", "off", "$https if_not_empty"))
	}
	place := f.origin()
	if f.http.hasUpstream() {
		place = pick(f.r, "app", place)
	}
	l.add("fastcgi_pass " + place)
	if f.chance(10) {
		inner := f.location(s, `~ ^/sites/.*/private/`, "/sites/a/private/b")
		inner.add("return 403")
	}
}

func (b *confBlock) hasUpstream() bool {
	return slices.ContainsFunc(b.items, func(item any) bool {
		inner, ok := item.(*confBlock)
		return ok && inner.context == "upstream"
	})
}

// files adds a site of files alone.
func (f *nginxFile) files(s *confBlock) {
	f.targets = append(f.targets, "/", "/index.html", "/blog/", "/blog", "/docs/", "/page", "/none", "/static/site.css", "/static/app.js", "/media/pic.png", "/big.txt", "/blog/index.html/", "//blog///", "/page.html")
	root := f.location(s, "/")
	switch f.r.IntN(6) {
	case 0:
		root.add("root DIR/www", "index index.html index.htm")
	case 1:
		root.add("autoindex on")
	case 2:
		root.add("return " + pick(f.r, "404", "200 \"$uri\"", "301 http://example.com$request_uri", "403"))
	default:
		root.add("try_files " + pick(f.r, "$uri $uri/ =404", "$uri $uri/ /index.html", "$uri $uri.html $uri/ =404", "$uri /index.html", "$uri/index.html $uri =404", "$uri $uri/index.html /index.html =404"))
	}
}
