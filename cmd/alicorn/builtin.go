package main

import (
	"strings"

	"alicorn/proxy"
)

// builtinFiles are the files for include that need not exist on disk, by base name: those
// that come with nginx, or with Debian's package of it. They are made once; nobody may
// change them.
var builtinFiles = map[string][]byte{
	"mime.types":       proxy.MimeTypesFile(),
	"proxy_params":     []byte(proxyParams),
	"uwsgi_params":     paramsFile("uwsgi_param", uwsgiParams),
	"scgi_params":      paramsFile("scgi_param", scgiParams),
	"fastcgi_params":   paramsFile("fastcgi_param", fastcgiParams),
	"fastcgi.conf":     paramsFile("fastcgi_param", "SCRIPT_FILENAME $document_root$fastcgi_script_name;\n"+fastcgiParams),
	"fastcgi-php.conf": []byte(fastcgiPHP),
	"koi-utf":          charsetMapFile("koi-utf"),
	"koi-win":          charsetMapFile("koi-win"),
	"win-utf":          charsetMapFile("win-utf"),
}

// paramsFile returns the file that has the directive before each of lines.
func paramsFile(directive, lines string) []byte {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString(directive + " " + line)
	}
	return []byte(b.String())
}

// The parameters of gateways are nginx's. Debian adds HTTP_HOST $host, because a client's
// Host field may differ from the host of its request line. Here HTTP_HOST never differs,
// and it has the port.
const (
	uwsgiParams = `QUERY_STRING $query_string;
REQUEST_METHOD $request_method;
CONTENT_TYPE $content_type;
CONTENT_LENGTH $content_length;
REQUEST_URI $request_uri;
PATH_INFO $document_uri;
DOCUMENT_ROOT $document_root;
SERVER_PROTOCOL $server_protocol;
REQUEST_SCHEME $scheme;
HTTPS $https if_not_empty;
REMOTE_ADDR $remote_addr;
REMOTE_PORT $remote_port;
SERVER_PORT $server_port;
SERVER_NAME $server_name;
`
	scgiParams = `REQUEST_METHOD $request_method;
REQUEST_URI $request_uri;
QUERY_STRING $query_string;
CONTENT_TYPE $content_type;
DOCUMENT_URI $document_uri;
DOCUMENT_ROOT $document_root;
SCGI 1;
SERVER_PROTOCOL $server_protocol;
REQUEST_SCHEME $scheme;
HTTPS $https if_not_empty;
REMOTE_ADDR $remote_addr;
REMOTE_PORT $remote_port;
SERVER_PORT $server_port;
SERVER_NAME $server_name;
`
	fastcgiParams = `QUERY_STRING $query_string;
REQUEST_METHOD $request_method;
CONTENT_TYPE $content_type;
CONTENT_LENGTH $content_length;
SCRIPT_NAME $fastcgi_script_name;
REQUEST_URI $request_uri;
DOCUMENT_URI $document_uri;
DOCUMENT_ROOT $document_root;
SERVER_PROTOCOL $server_protocol;
REQUEST_SCHEME $scheme;
HTTPS $https if_not_empty;
GATEWAY_INTERFACE CGI/1.1;
SERVER_SOFTWARE nginx/$nginx_version;
REMOTE_ADDR $remote_addr;
REMOTE_PORT $remote_port;
REMOTE_USER $remote_user;
SERVER_ADDR $server_addr;
SERVER_PORT $server_port;
SERVER_NAME $server_name;
REDIRECT_STATUS 200;
`
)

// fastcgiPHP is Debian's snippets/fastcgi-php.conf. It runs scripts that exist; the rest of
// the path is their PATH_INFO.
const fastcgiPHP = `fastcgi_split_path_info ^(.+?\.php)(/.*)$;
try_files $fastcgi_script_name =404;
set $path_info $fastcgi_path_info; # try_files forgets it
fastcgi_param PATH_INFO $path_info;
fastcgi_index index.php;
include fastcgi.conf;
`

// proxyParams is Debian's proxy_params. Its Host is $host and not $http_host, which may
// differ from the host of the request line.
const proxyParams = `proxy_set_header Host $host;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
`
