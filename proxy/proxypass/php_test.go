package proxypass

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

const frontController = `<?php
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$body = file_get_contents('php://input');
switch ($path) {
case '/gone':
    header('Location: /a/b');
    setcookie('a', 'b');
    exit;
case '/odd':
    header('X-A: 1');
    header('X-A: 2', false);
    header('Server: own');
    http_response_code(404);
    header('Content-Type: text/x-odd');
    exit('odd');
case '/none':
    http_response_code(204);
    exit;
case '/accel':
    header('X-Accel-Redirect: /files/x');
    header('Content-Type: text/plain');
    exit('unseen');
case '/chunks':
    header('Content-Type: text/plain');
    for ($i = 0; $i < 20; $i++) {
        echo str_repeat(chr(97 + $i), 50000);
        flush();
    }
    exit;
case '/complaint':
    error_log('something is wrong');
    break;
case '/length':
    header('Content-Length: 3');
    exit('longer than three');
}
header('Content-Type: text/plain');
$names = array_filter(array_keys($_SERVER), fn($k) => preg_match('/^(HTTP_|HTTPS|CONTENT_|REQUEST_[MUS]|PATH_INFO|ORIG_|QUERY|SCRIPT_|DOCUMENT_|PHP_SELF|GATEWAY|SERVER_(PROTOCOL|NAME))/', $k));
sort($names);
foreach ($names as $name) {
    echo "$name=", $_SERVER[$name], "\n";
}
echo strlen($body), " bytes ", substr($body, 0, 20), " ", json_encode($_GET), " ", json_encode($_POST), "\n";
`

// startPHP starts Debian's php-fpm with a site in dir, on a socket there.
func startPHP(t *testing.T, dir string, children int) (socket string) {
	t.Helper()
	program, err := filepath.Glob("/usr/sbin/php-fpm*")
	if err != nil || len(program) == 0 {
		t.Fatal("php-fpm is not installed")
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "f")
	user := ""
	if os.Geteuid() == 0 {
		user = "user = www-data\n"
	}
	conf := fmt.Sprintf("[global]\nerror_log = %[1]s/fpm.log\n[www]\n%[3]slisten = %[1]s/f\nlisten.mode = 0666\npm = static\npm.max_children = %[2]d\nphp_admin_value[error_log] =\nphp_admin_flag[log_errors] = on\nphp_admin_flag[expose_php] = off\n", dir, children, user)
	for name, text := range map[string]string{"fpm.conf": conf, "index.php": frontController, "b.php": frontController, "plain.txt": "plain\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program[0], "--nodaemonize", "--fpm-config", filepath.Join(dir, "fpm.conf"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if text, _ := os.ReadFile(filepath.Join(dir, "fpm.log")); t.Failed() {
			t.Logf("%s", text)
		}
	})
	proxytest.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, "php-fpm does not start")
	return socket
}

// withoutLength removes Content-Length, which this program adds to answers that have come
// completely.
func withoutLength(seen string) string {
	return regexp.MustCompile(`"Content-Length: [0-9]+" ?`).ReplaceAllString(seen, "")
}

// TestPHPSeesWhatItSeesBehindNginx has both pass requests on to a real php-fpm, with the
// files that Debian's nginx comes with.
func TestPHPSeesWhatItSeesBehindNginx(t *testing.T) {
	dir := proxytest.NginxDir(t)
	socket := startPHP(t, dir, 4)
	snippet := strings.ReplaceAll(paramsFile(t, "snippets/fastcgi-php.conf"), "include fastcgi.conf;", paramsFile(t, "fastcgi.conf"))
	snippet = strings.ReplaceAll(snippet, "nginx/$nginx_version", "nginx")
	site := "client_max_body_size 0; root " + dir + "; index index.php; " +
		"location / { try_files $uri $uri/ /index.php?$query_string; } location /files/ { internal; return 200 $uri; } " +
		"location ~ \\.php(/|$) { " + snippet + " fastcgi_pass unix:" + socket + "; %s } " +
		"location /bare { include_params fastcgi_pass unix:" + socket + "; fastcgi_param SCRIPT_FILENAME " + dir + "/index.php; fastcgi_param REQUEST_METHOD $request_method; fastcgi_param REQUEST_URI /a; fastcgi_pass_request_headers off; fastcgi_pass_header Status; }"
	site = strings.ReplaceAll(site, "include_params ", "")
	requests := append([]string{
		"GET /plain.txt HTTP/1.1\r\nHost: site\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: site\r\n\r\n",
		"GET /b.php HTTP/1.1\r\nHost: site\r\n\r\n",
		"GET /b.php/c/d?e=f HTTP/1.1\r\nHost: site\r\n\r\n",
		"GET /absent.php HTTP/1.1\r\nHost: site\r\n\r\n",
		"GET /absent.php/x HTTP/1.1\r\nHost: site\r\n\r\n",
		"POST /form HTTP/1.1\r\nHost: site\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\na=b&c=d",
		"GET /complaint HTTP/1.1\r\nHost: site\r\n\r\n",
		"GET /length HTTP/1.1\r\nHost: site\r\n\r\n",
	}, gatewayRequests...)
	for _, keep := range []string{"", "fastcgi_keep_conn on;"} {
		theirs, mine := beside(t, fmt.Sprintf(site, keep))
		for _, request := range requests {
			if strings.Contains(request, " /own") || strings.Contains(request, " /accel") || strings.Contains(request, " /intercepted") {
				continue
			}
			if got, want := withoutLength(seen(t, mine(), request)), withoutLength(seen(t, theirs(), request)); got != want {
				t.Errorf("%s %.60q\n ours  %s\n nginx %s", keep, request, got, want)
			}
		}
	}
}
