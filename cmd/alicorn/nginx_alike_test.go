package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// nginxFile is a configuration as people write one for nginx: its directives, their
// contexts and forms are as frequent as in their files. In its text, DIR is the folder
// of the case, and the words of places are addresses; see places.
type nginxFile struct {
	name                string
	python              bool   // it is for a Python application
	passes              string // the family that its content is of: proxy, uwsgi, fastcgi; "": files alone
	secure              bool   // a server speaks TLS
	ipv6                bool
	main, events, http  *confBlock
	servers, locations  []*confBlock
	targets             []string // paths that requests ask for
	r                   *rand.Rand
	wrapped, compressed bool // has http { }; has gzip
}

// confBlock is a block with its directives.
type confBlock struct {
	head    string
	context string
	passes  string // the family of a location's content
	names   map[string]bool
	items   []any // lines without their semicolon, and blocks
}

// frequency is a line of directives.txt.
type frequency struct {
	name             string
	python, others   int
	contexts, values []string
	family           string
}

// filesWith is how many of the files have a family, by which its directives are counted.
var filesWith = map[string][2]int{"": {224, 200}, "proxy": {145, 60}, "uwsgi": {38, 1}, "fastcgi": {4, 68}, "ssl": {54, 44}, "gzip": {26, 22}}

// repeated are directives that may stand in a block more than once.
var repeated = []string{"add_header", "proxy_set_header", "error_page", "deny", "allow", "rewrite", "set_real_ip_from", "fastcgi_param", "uwsgi_param", "set", "include", "server", "access_log", "listen",
	"proxy_hide_header", "proxy_pass_header", "proxy_cookie_path", "proxy_cookie_domain"}

// add adds lines, each "NAME ARGUMENTS", but for those that may stand in it only once
// and do.
func (b *confBlock) add(lines ...string) *confBlock {
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		if b.names[name] && !slices.Contains(repeated, name) {
			continue
		}
		b.names[name] = true
		b.items = append(b.items, line)
	}
	return b
}

func newConfBlock(head, context string) *confBlock {
	return &confBlock{head: head, context: context, names: map[string]bool{}}
}

func (b *confBlock) block(head, context string) *confBlock {
	inner := newConfBlock(head, context)
	b.items = append(b.items, inner)
	return inner
}

// write writes the block's text without the directives that are not known.
func (b *confBlock) write(w *strings.Builder, indent string, known map[string]bool) {
	for _, item := range b.items {
		switch item := item.(type) {
		case string:
			if name, _, _ := strings.Cut(item, " "); known[name] || b.context == "map" {
				fmt.Fprintf(w, "%s%s;\n", indent, item)
			}
		case *confBlock:
			fmt.Fprintf(w, "%s%s {\n", indent, item.head)
			item.write(w, indent+"    ", known)
			fmt.Fprintf(w, "%s}\n", indent)
		}
	}
}

// text is the file as it is, or as Debian's nginx.conf would include it.
func (f *nginxFile) text(wrapped bool, known map[string]bool) string {
	var b strings.Builder
	f.main.write(&b, "", known)
	b.WriteString("events {\n")
	f.events.write(&b, "    ", known)
	b.WriteString("}\n")
	indent := ""
	if wrapped {
		b.WriteString("http {\n")
		indent = "    "
	}
	f.http.write(&b, indent, known)
	if wrapped {
		b.WriteString("}\n")
	}
	return b.String()
}

// readFrequencies reads directives.txt.
func readFrequencies(t *testing.T) (all []frequency) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "alike", "directives.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, " | ")
		head, family, _ := strings.Cut(parts[0], " / ")
		words := strings.Fields(head)
		g := frequency{name: words[0], contexts: words[3:], values: parts[1:], family: family}
		g.python, _ = strconv.Atoi(words[1])
		g.others, err = strconv.Atoi(words[2])
		if err != nil || len(g.values) == 0 || len(g.contexts) == 0 {
			t.Fatalf("directives.txt: %q", line)
		}
		all = append(all, g)
	}
	return all
}

// chance is true in p of 100 cases.
func (f *nginxFile) chance(p int) bool { return f.r.IntN(100) < p }

// newNginxFile makes the file n of a seed.
func newNginxFile(seed uint64, n int, frequencies []frequency, ipv6 bool) *nginxFile {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	f := &nginxFile{r: r, python: r.IntN(424) < 224, ipv6: ipv6,
		main: newConfBlock("", "main"), events: newConfBlock("", "events"), http: newConfBlock("", "http")}
	f.name = fmt.Sprintf("%d", n)
	kind := r.IntN(224)
	switch {
	case f.python && kind < 145:
		f.passes = "proxy"
	case f.python && kind < 183:
		f.passes = "uwsgi"
	case f.python && kind < 187 || !f.python && kind < 76:
		f.passes = "fastcgi"
	case !f.python && kind < 143:
		f.passes = "proxy"
	}
	f.secure, f.compressed, f.wrapped = f.chance(23), f.chance(12), f.chance(40)
	f.frame()
	f.upstream()
	f.maps()
	f.sites()
	f.sprinkle(frequencies)
	return f
}

// frame adds what every file has, so that nginx keeps its files in the folder.
func (f *nginxFile) frame() {
	f.main.add("daemon off", "master_process off", "pid DIR/pid", "error_log DIR/error.log info")
	f.http.add("include "+pick(f.r, "mime.types", "/etc/nginx/mime.types"), `log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'`)
	if f.compressed {
		f.http.add("gzip on")
	}
}

// sprinkle adds directives of the table, as often as people have them.
func (f *nginxFile) sprinkle(frequencies []frequency) {
	for _, g := range frequencies {
		count, of := g.others, filesWith[g.family][1]
		if f.python {
			count, of = g.python, filesWith[g.family][0]
		}
		has := map[string]bool{"": true, "ssl": f.secure, "gzip": f.compressed}[g.family] || g.family == f.passes
		if !has || f.r.IntN(of) >= count {
			continue
		}
		context := g.contexts[min(f.r.IntN(len(g.contexts)), f.r.IntN(len(g.contexts)))]
		if b := f.placeFor(context, g.family); b != nil {
			b.add(g.name + " " + pick(f.r, g.values...))
		}
	}
	if !f.http.names["client_body_temp_path"] {
		f.http.add("client_body_temp_path DIR/b")
	}
	for _, family := range []string{"proxy", "uwsgi", "fastcgi", "scgi"} {
		f.http.add(family + "_temp_path DIR/" + family)
	}
}

// placeFor chooses a block of the context for a directive of the family; nil: there is
// none.
func (f *nginxFile) placeFor(context, family string) *confBlock {
	switch context {
	case "main":
		return f.main
	case "events":
		return f.events
	case "http":
		return f.http
	}
	blocks := f.locations
	if context == "server" {
		blocks = f.servers
	}
	blocks = slices.DeleteFunc(slices.Clone(blocks), func(b *confBlock) bool {
		switch {
		case family == "ssl":
			return !b.names["ssl_certificate"]
		case context == "location" && family == f.passes && family != "":
			return b.passes != family
		}
		return false
	})
	if len(blocks) == 0 {
		return nil
	}
	return pick(f.r, blocks...)
}

// upstream adds groups of servers.
func (f *nginxFile) upstream() {
	if f.passes == "" || f.passes == "fastcgi" && !f.chance(15) {
		return
	}
	u := f.http.block("upstream app", "upstream")
	if f.chance(8) {
		u.add(pick(f.r, "least_conn", "ip_hash", "hash $request_uri consistent", "hash $remote_addr", "zone app 64k", "random"))
	}
	place := f.origin()
	parameters := ""
	switch f.r.IntN(8) {
	case 0, 1:
		parameters = " fail_timeout=0"
	case 2:
		parameters = pick(f.r, " weight=5", " max_fails=3 fail_timeout=30s", " max_fails=0")
	}
	u.add("server " + place + parameters)
	switch f.r.IntN(12) {
	case 0:
		u.add("server " + f.origin())
	case 1:
		u.add("server DEAD_TCP " + pick(f.r, "backup", "down"))
	case 2:
		u.add("server unix:DIR/absent.sock " + pick(f.r, "backup", "down", "max_fails=1"))
	}
	if f.chance(6) {
		u.add("keepalive " + pick(f.r, "8", "32", "64"))
		if f.chance(40) {
			u.add(pick(f.r, "keepalive_timeout 60s", "keepalive_requests 100"))
		}
	}
}

// origin is the address of what the file passes requests on to.
func (f *nginxFile) origin() string {
	kinds := map[string][]string{"proxy": {"GO", "GUNICORN"}, "uwsgi": {"UWSGI"}, "fastcgi": {"PHP"}}[f.passes]
	kind := kinds[0]
	if f.python {
		kind = kinds[len(kinds)-1]
	}
	if f.chance(45) {
		return "unix:" + kind + "_UNIX"
	}
	return kind + "_TCP"
}

// maps adds maps and geos.
func (f *nginxFile) maps() {
	table := func(head string, lines ...string) {
		f.http.items = append(f.http.items, &confBlock{head: head, context: "map", names: map[string]bool{}})
		f.http.items[len(f.http.items)-1].(*confBlock).add(lines...)
	}
	// The locations may use these names.
	table("map $http_upgrade $connection_upgrade", "default upgrade", "'' close")
	table("map $http_x_forwarded_proto $outer_scheme", "default $http_x_forwarded_proto", "'' $scheme")
	table("map $http_user_agent $is_bot", "default 0", `~*(bot|crawler|spider) 1`, `"~^Mozilla/4\.0 " 2`)
	table("map $sent_http_content_type $life", "default off", "text/html epoch", "text/css max", "~image/ 30d", `"text/plain; charset=utf-8" 1h`)
	table("map $host $tenant", "hostnames", "default none", ".example.com main", "*.example.net sub", "www.other.* other")
	table("geo $near", "default 0", "127.0.0.0/8 1", "10.0.0.0/8 2", "::1 1")
	if f.chance(20) {
		table("map $uri $moved", "default ''", "/old.html /new.html", "~^/old/(?<rest>.*)$ /new/$rest")
	}
}

// sites adds the servers.
func (f *nginxFile) sites() {
	if f.chance(25) {
		f.redirector()
	}
	s := f.server("PORT")
	s.add("server_name " + pick(f.r, "example.com", "example.com www.example.com", "_", "localhost", "example.com *.example.com", ".example.com", `~^(?<sub>.+)\.example\.net$`, "127.0.0.1", `""`, "EXAMPLE.com www.other.*"))
	f.site(s)
	if f.secure {
		s := f.server("TPORT")
		s.add("server_name "+pick(f.r, "example.com", "secure.example.com", "_"), "ssl_certificate DIR/tls.crt", "ssl_certificate_key DIR/tls.key")
		f.site(s)
	}
	if f.chance(15) {
		s := f.server("PORT")
		s.add("server_name " + pick(f.r, "api.example.com", "other.test"))
		f.site(s)
	}
}

// server adds a server on a port.
func (f *nginxFile) server(port string) *confBlock {
	s := f.http.block("server", "server")
	parameters := ""
	if port == "TPORT" {
		parameters = " ssl"
	}
	if len(f.servers) == 0 && f.chance(15) {
		parameters += " " + pick(f.r, "default_server", "default_server", "default")
	}
	s.add("listen " + pick(f.r, "", "", "", "*:", "0.0.0.0:") + port + parameters)
	if f.ipv6 && f.chance(20) && len(f.servers) == 0 {
		s.add("listen [::]:" + port + pick(f.r, "", " ipv6only=on") + strings.ReplaceAll(parameters, " default ", " default_server "))
	}
	f.servers = append(f.servers, s)
	return s
}

// redirector adds a server that sends to another.
func (f *nginxFile) redirector() {
	s := f.server("PORT")
	s.add("server_name " + pick(f.r, "www.example.com", "www.example.com old.example.com", "_"))
	switch f.r.IntN(7) {
	case 0:
		s.add("rewrite ^ http://example.com$request_uri? " + pick(f.r, "permanent", "redirect"))
	case 1:
		s.add("rewrite ^(.*) http://example.com$1 permanent")
	case 2:
		s.block("if ($host = www.example.com)", "if").add("return 301 http://example.com$request_uri")
		s.add("return 404")
	case 3:
		s.add("return 301 http://$server_name:PORT$request_uri")
	case 4:
		f.location(s, "/").add("return 301 https://$host$request_uri")
	case 5:
		s.add("return " + pick(f.r, "444", "404", "403", `200 "hello"`))
	default:
		s.add("return 301 " + pick(f.r, "https://$host$request_uri", "$scheme://example.com$request_uri", "http://example.com:PORT$uri"))
	}
}
