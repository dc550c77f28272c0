package main

import (
	"strings"

	"alicorn/proxy"

	"github.com/spf13/cobra"
)

// builtinFiles are the files for include that need not exist on disk: those that come
// with nginx, or with Debian's package of it.
func builtinFiles() map[string][]byte {
	return map[string][]byte{
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
}

// paramsFile has the directive before each line.
func paramsFile(directive, lines string) []byte {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString(directive + " " + line)
	}
	return []byte(b.String())
}

// The parameters of gateways, as nginx has them. Debian's have HTTP_HOST $host beside them,
// as the client's Host may have no relation to what it asks for: what this program passes
// on as HTTP_HOST has, and it has the port.
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

// fastcgiPHP is Debian's snippets/fastcgi-php.conf: scripts that exist, with what stands
// behind their names.
const fastcgiPHP = `fastcgi_split_path_info ^(.+?\.php)(/.*)$;
try_files $fastcgi_script_name =404;
set $path_info $fastcgi_path_info; # try_files forgets it
fastcgi_param PATH_INFO $path_info;
fastcgi_index index.php;
include fastcgi.conf;
`

// proxyParams is Debian's proxy_params. Its Host was $http_host before, which a client
// may send without any relation to what it asks for.
const proxyParams = `proxy_set_header Host $host;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
`

// extraCommands returns the verbs that need no running server.
func extraCommands() []*cobra.Command {
	return []*cobra.Command{serveCommand(), installCommand(), uninstallCommand()}
}
