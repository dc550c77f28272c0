package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"alicorn/appserver"
	"alicorn/config/osfile"

	"github.com/spf13/pflag"
)

// gunicornSetting is one of gunicorn's settings: its name in gunicorn.conf.py,
// its flag here, or the reason why it has no equivalent.
type gunicornSetting struct {
	name    string
	flag    string
	short   string
	refusal string
	boolean bool
	guards  bool // the setting is one of security: it is not passed over
}

var gunicornSettings = []gunicornSetting{
	{name: "bind", flag: "bind"}, {name: "backlog", flag: "backlog"}, {name: "workers", flag: "workers"}, {name: "threads", flag: "threads"},
	{name: "timeout", flag: "timeout"}, {name: "graceful_timeout", flag: "graceful-timeout"}, {name: "keepalive", flag: "keep-alive"},
	{name: "max_requests", flag: "max-requests"}, {name: "max_requests_jitter", flag: "max-requests-jitter"}, {name: "chdir", flag: "chdir"},
	{name: "pythonpath", flag: "pythonpath"}, {name: "raw_env", flag: "env"}, {name: "user", flag: "user"}, {name: "group", flag: "group"},
	{name: "daemon", flag: "daemon"}, {name: "pidfile", flag: "pid"}, {name: "accesslog", flag: "access-logfile"}, {name: "errorlog", flag: "error-logfile"},
	{name: "loglevel", flag: "log-level"}, {name: "certfile", flag: "certfile"}, {name: "keyfile", flag: "keyfile"}, {name: "worker_class", flag: "worker-class"},
	{name: "reuse_port", flag: "reuse-port"}, {name: "capture_output", flag: "capture-output"},
	{name: "preload_app", flag: "preload", boolean: true, refusal: "workers import the application themselves"},
	{name: "reload", flag: "reload", boolean: true, refusal: "files are not watched yet; \"alicorn reload\", or the signal HUP, loads changed code without losing a request"},
	{name: "worker_connections", flag: "worker-connections", refusal: "connections are held by the front and cost a worker nothing"},
	{name: "limit_request_line", flag: "limit-request-line", guards: true, refusal: "use large_client_header_buffers in a configuration"},
	{name: "limit_request_fields", flag: "limit-request-fields"},
	{name: "limit_request_field_size", flag: "limit-request-field_size", guards: true, refusal: "use large_client_header_buffers in a configuration"},
	{name: "ca_certs", flag: "ca-certs"}, {name: "cert_reqs", flag: "cert-reqs"},
	{name: "ssl_version", flag: "ssl-version", guards: true, refusal: "TLS is 1.2 or newer; use ssl_protocols in a configuration"},
	{name: "ciphers", flag: "ciphers", guards: true, refusal: "use ssl_ciphers in a configuration"},
	{name: "ssl_context", guards: true, refusal: "use ssl_protocols, ssl_ciphers and their like in a configuration"},
	{name: "proxy_allow_ips", flag: "proxy-allow-from", guards: true, refusal: "the PROXY protocol is not read"},
	{name: "secure_scheme_headers", guards: true, refusal: "they are X-Forwarded-Proto, X-Forwarded-Protocol and X-Forwarded-Ssl"},
	{name: "header_map", flag: "header-map", guards: true, refusal: "names with underscores are dropped; use underscores_in_headers in a configuration"},
	{name: "forwarder_headers", flag: "forwarder-headers", guards: true, refusal: "no header sets SCRIPT_NAME or PATH_INFO"},
	{name: "access_log_format", flag: "access-logformat", refusal: "use log_format in a configuration"},
	{name: "logconfig", flag: "log-config", refusal: "the front writes its logs itself; use error_log and access_log in a configuration"},
	{name: "logger_class", flag: "logger-class", refusal: "the front writes its logs itself"},
	{name: "statsd_host", flag: "statsd-host", refusal: "there are no statsd metrics"},
	{name: "proc_name", flag: "name", short: "n", refusal: "processes are named after the program"},
	{name: "umask", flag: "umask", short: "m", guards: true, refusal: "workers keep the umask of the process that starts them"},
	{name: "worker_tmp_dir", flag: "worker-tmp-dir", refusal: "workers need no temporary folder for a heartbeat"},
	{name: "forwarded_allow_ips", flag: "forwarded-allow-ips"},
	{name: "proxy_protocol", flag: "proxy-protocol", boolean: true, guards: true, refusal: "the PROXY protocol is not read"},
}

// gunicornConfig evaluates a gunicorn.conf.py with the application's Python
// and returns its settings as a layer.
func gunicornConfig(ctx context.Context, python, file string, who owner) (*serveFlags, error) {
	values, err := evaluate(ctx, python, file, who)
	if err != nil {
		return nil, err
	}
	f := newServeFlags(pflag.NewFlagSet("gunicorn.conf.py", pflag.ContinueOnError))
	for _, name := range sortedKeys(values) {
		v := values[name]
		i := slices.IndexFunc(gunicornSettings, func(g gunicornSetting) bool { return g.name == name })
		switch {
		case name == "wsgi_app":
			f.wsgiApp, _ = v.(string)
		case i < 0:
		case gunicornSettings[i].refusal != "":
			if neutral(name, v) {
				continue
			}
			f.refused = append(f.refused, refusal{name + " in " + file, gunicornSettings[i].refusal, gunicornSettings[i].guards})
		default:
			if err := f.take(gunicornSettings[i].flag, v); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", file, name, err)
			}
		}
	}
	return f, who.judge(f, file)
}

// judge refuses another user that a file names which not only root can change:
// whoever writes it would run the application, his or not, as anybody.
func (o owner) judge(f *serveFlags, file string) error {
	if os.Geteuid() != 0 || f.user == "" && f.group == "" {
		return nil
	}
	decider, err := osfile.Decider(file)
	if err != nil || decider.UID == 0 {
		return err
	}
	own, err := appserver.User(o.directory, o.user)
	if err != nil {
		return err
	}
	uid, err := appserver.User(o.directory, f.user)
	if err != nil || uid == own && f.group == "" {
		return err
	}
	return fmt.Errorf("%s: user %q and group %q are refused, since user %q can change the file; name them with --user and --group", file, f.user, f.group, decider.Name())
}

// neutral reports whether a setting's value is the one that gunicorn has by
// default, so that nothing is asked for.
func neutral(name string, v any) bool {
	switch v {
	case nil, false:
		return true
	}
	usual := map[string]any{"limit_request_line": 4094.0, "limit_request_field_size": 8190.0, "umask": 0.0, "ssl_version": 2.0, "header_map": "drop"}
	return usual[name] == v
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// take sets a flag from a Python value.
func (f *serveFlags) take(flag string, v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		for _, e := range v {
			if err := f.set.Set(flag, fmt.Sprint(e)); err != nil {
				return err
			}
		}
		return nil
	case float64:
		return f.set.Set(flag, strconv.FormatInt(int64(v), 10))
	default:
		return f.set.Set(flag, fmt.Sprint(v))
	}
}

// readSettings prints a configuration file's plain values as JSON, behind a
// mark that what the file itself prints cannot be taken for. The file has names
// of its own beside settings: a value that JSON or a number of ours cannot hold
// goes as a string, which a setting of numbers refuses by name.
const readSettings = `
import json, sys
mark, path = sys.argv[1:3]
names = {"__file__": path, "__name__": "__config__"}
with open(path, "rb") as f:
    exec(compile(f.read(), path, "exec"), names)
def scalar(v):
    if isinstance(v, int) and v.bit_length() > 53:
        return "an integer of %d bits" % v.bit_length()
    if isinstance(v, float) and (v != v or v in (float("inf"), float("-inf"))):
        return str(v)
    return v if isinstance(v, (str, int, float, type(None))) else str(v)
def plain(v):
    return [scalar(e) for e in v] if isinstance(v, (list, tuple)) else scalar(v)
print("\n" + mark + json.dumps({k: plain(v) for k, v in names.items()
    if isinstance(k, str) and not k.startswith("_") and isinstance(v, (str, int, float, list, tuple, type(None)))}))
`

// owner is whose rights a configuration file is evaluated with: those that its
// application will have. The file is the application's code as any other is.
type owner struct{ directory, user, group string }

const evaluateTime = 15 * time.Second

func evaluate(ctx context.Context, python, file string, who owner) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, evaluateTime)
	defer cancel()
	mark := fmt.Sprintf("alicorn-settings-%d-%d ", os.Getpid(), time.Now().UnixNano())
	cmd := exec.CommandContext(ctx, python, "-c", readSettings, mark, file)
	cmd.Dir = filepath.Dir(file)
	if err := appserver.RunAs(cmd, who.directory, who.user, who.group); err != nil {
		return nil, fmt.Errorf("cannot evaluate %s: %w", file, err)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(errs.String())
		if text != "" {
			text = "\n" + text
		}
		if filepath.Ext(file) == ".conf" {
			text += fmt.Sprintf("\n-c of serve names a file of gunicorn's, in Python; \"alicorn run -c %s\" serves a configuration of alicorn's own", file)
		}
		return nil, fmt.Errorf("cannot evaluate %s with %s: %w%s", file, python, err, text)
	}
	_, text, found := strings.Cut(out.String(), mark)
	values := map[string]any{}
	if !found {
		return nil, fmt.Errorf("cannot evaluate %s: it ended before its end", file)
	}
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, fmt.Errorf("cannot evaluate %s: cannot read its values: %w", file, err)
	}
	return values, nil
}

// splitArgs splits GUNICORN_CMD_ARGS into words, as a shell would.
func splitArgs(text string) ([]string, error) {
	var args []string
	var word strings.Builder
	quote, inWord := rune(0), false
	for _, c := range text {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				args = append(args, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("GUNICORN_CMD_ARGS: the closing %c is missing", quote)
	}
	if inWord {
		args = append(args, word.String())
	}
	return args, nil
}
