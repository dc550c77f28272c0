package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// alikeCase is a configuration as people write one for gunicorn: a file, a
// command line, GUNICORN_CMD_ARGS and an environment.
type alikeCase struct {
	name  string
	conf  string // the text of the file; "" for none
	file  string // what it is called
	args  []string
	env   []string
	given map[string]string // the settings and their values, as gunicorn knows them
}

// choice is a way to write one value: in Python, and as a flag's value.
type spelled struct {
	python string // "": the file cannot say it
	flag   string // "": the command line cannot say it; "-": a flag without a value
	value  string // what it means, for the comparison
}

// habit is a setting as public files have it.
type habit struct {
	name   string
	flag   string
	often  int // in a hundred cases
	values []spelled
}

func same(values ...string) (all []spelled) {
	for _, v := range values {
		all = append(all, spelled{v, v, v})
	}
	return all
}

// habits are gunicorn's settings by the frequency that public files have them
// with, and values as people write them: numbers, zeros, strings for numbers,
// expressions, the environment.
var habits = []habit{
	{"workers", "--workers", 60, append(same("1", "2"), spelled{`"2"`, "02", "2"}, spelled{`int(os.environ.get("WEB_WORKERS", "1"))`, " 1 ", "1"},
		spelled{"min(multiprocessing.cpu_count() * 2 + 1, 2)", "", "2"}, spelled{"True", "", "1"}, spelled{"2.5", "", "!"}, spelled{`"two"`, "two", "!"})},
	{"worker_class", "-k", 40, []spelled{{`"sync"`, "sync", "sync"}, {`"gthread"`, "gthread", "gthread"}, {`"gunicorn.workers.sync.SyncWorker"`, "gunicorn.workers.sync.SyncWorker", "sync"},
		{`"gunicorn.workers.gthread.ThreadWorker"`, "gunicorn.workers.gthread.ThreadWorker", "gthread"}}},
	{"timeout", "--timeout", 50, append(same("30", "120", "0", "1", "1"), spelled{`"60"`, "060", "60"}, spelled{`int(os.getenv("APP_TIMEOUT", "0x1e"), 0)`, "", "30"}, spelled{"[30]", "30s", "!"})},
	{"threads", "--threads", 30, append(same("1", "2", "4", "0"), spelled{`"2"`, "2", "2"})},
	{"max_requests", "--max-requests", 40, append(same("0", "3", "1000"), spelled{`int("4")`, "4", "4"})},
	{"max_requests_jitter", "--max-requests-jitter", 25, same("0", "2", "50")},
	{"keepalive", "--keep-alive", 30, append(same("0", "2", "5"), spelled{`"5"`, "5", "5"})},
	{"accesslog", "--access-logfile", 40, []spelled{{`"-"`, "-", "-"}, {`"access.log"`, "access.log", "access.log"}, {"None", "", ""}, {`os.path.join(os.getcwd(), "access.log")`, "./access.log", "access.log"}}},
	{"errorlog", "--error-logfile", 40, []spelled{{`"-"`, "-", "-"}, {`"error.log"`, "error.log", "error.log"}, {`os.path.join(os.path.dirname(__file__), "error.log")`, "./error.log", "error.log"}}},
	{"loglevel", "--log-level", 40, []spelled{{`"info"`, "info", ""}, {`"INFO"`, "INFO", ""}, {`os.environ.get("LOG_LEVEL", "debug")`, "Debug", "debug"}, {`"Warning"`, "warning", ""}, {`"chatty"`, "chatty", ""}}},
	{"preload_app", "--preload", 35, []spelled{{"True", "-", "true"}, {"False", "", ""}, {`"true"`, "-", "true"}}},
	{"worker_connections", "--worker-connections", 25, same("1000", "100")},
	{"graceful_timeout", "--graceful-timeout", 20, append(same("30", "0", "5"), spelled{`"5"`, "5", "5"})},
	{"proc_name", "--name", 15, []spelled{{`"shop"`, "shop", "shop"}, {"None", "", ""}}},
	{"worker_tmp_dir", "--worker-tmp-dir", 12, []spelled{{`"/dev/shm"`, "/dev/shm", "/dev/shm"}, {"None", "", ""}}},
	{"access_log_format", "--access-logformat", 8, []spelled{{`'%(h)s %(r)s %(s)s'`, "%(h)s %(r)s %(s)s", "x"}}},
	{"limit_request_fields", "--limit-request-fields", 8, same("50", "20")},
	{"limit_request_line", "--limit-request-line", 6, same("4094", "8190", "0")},
	{"limit_request_field_size", "--limit-request-field_size", 6, same("8190", "0", "16380")},
	{"forwarded_allow_ips", "--forwarded-allow-ips", 20, []spelled{{`"*"`, "*", "*"}, {`"127.0.0.1"`, "127.0.0.1", "127.0.0.1"}, {`"10.0.0.1,10.0.0.2"`, "10.0.0.1", "10"}, {"None", "", "none"}, {`os.environ.get("PROXIES", "127.0.0.1, 10.0.0.1")`, "127.0.0.1,10.0.0.1", "127.0.0.1"}}},
	{"secure_scheme_headers", "", 8, []spelled{{`{"X-FORWARDED-PROTO": "https"}`, "", "usual"}, {`{"X-CUSTOM-PROTO": "yes"}`, "", "own"}, {"{}", "", "none"}}},
	{"raw_env", "-e", 20, []spelled{{`["RELEASE=9"]`, "RELEASE=9", ""}, {`"RELEASE=a=b c"`, "RELEASE=a=b c", ""}, {`["RELEASE=" + open("VERSION").read().strip()]`, "", ""}, {`["SCRIPT_NAME=/shop"]`, "SCRIPT_NAME=/shop", "mount"}}},
	{"chdir", "--chdir", 15, []spelled{{`"src"`, "src", "src"}, {"os.getcwd()", ".", ""}, {`os.path.abspath("src")`, "./src", "src"}}},
	{"pythonpath", "--pythonpath", 8, []spelled{{`"lib"`, "lib", ""}, {`"lib,other"`, "lib,other", ""}}},
	{"pidfile", "--pid", 10, []spelled{{`"app.pid"`, "app.pid", "app.pid"}, {"None", "", ""}}},
	{"umask", "--umask", 8, []spelled{{"0", "0", ""}, {"0o007", "007", ""}, {`"0o77"`, "0o77", ""}}},
	{"backlog", "--backlog", 8, same("2048", "64", "0")},
	{"daemon", "", 6, []spelled{{"False", "", ""}, {`"false"`, "", ""}}},
	{"reload", "", 8, []spelled{{"False", "", ""}, {"bool(os.environ.get('NO'))", "", ""}}},
	{"capture_output", "--capture-output", 8, []spelled{{"True", "-", ""}, {"False", "", ""}}},
	{"sendfile", "--no-sendfile", 4, []spelled{{"False", "-", "false"}, {"None", "", ""}}},
	{"spew", "", 4, []spelled{{"False", "", ""}}},
	{"logger_class", "", 3, []spelled{{`"gunicorn.glogging.Logger"`, "", ""}}},
	{"reload_extra_files", "", 3, []spelled{{"[]", "", ""}, {`["app.py"]`, "", "x"}}},
	{"post_fork", "", 8, []spelled{{"def post_fork(server, worker): pass", "", "hook"}}},
	{"when_ready", "", 6, []spelled{{"def when_ready(server): pass", "", "hook"}}},
	{"on_starting", "", 6, []spelled{{"def on_starting(server): pass", "", "hook"}}},
}

// addresses are the ways to write where to listen.
var addresses = []spelled{{`"127.0.0.1:PORT"`, "127.0.0.1:PORT", ""}, {`["127.0.0.1:PORT"]`, "127.0.0.1:PORT", ""}, {`":PORT"`, ":PORT", ""},
	{`"0.0.0.0:" + os.environ.get("APP_PORT", "PORT")`, "0:PORT", ""}, {`"unix:web.sock"`, "unix:web.sock", "unix"}, {`f"unix://{os.getcwd()}/web.sock"`, "unix://./web.sock", "unix"},
	{`"localhost:PORT"`, "tcp://127.1:PORT", ""}}

// programs are what files do besides setting settings.
var programs = []string{
	"os.environ[\"FROM_CONF\"] = \"made\"\n", "os.environ.setdefault(\"FROM_CONF\", \"default\")\n", "os.environ.pop(\"DOOMED\", None)\n",
	"sys.path.insert(0, os.path.join(os.getcwd(), \"lib\"))\n", "sys.path.append(\"other\")\n", "from settings import *\n",
	"for line in open(\"dotenv\"):\n    name, _, value = line.strip().partition(\"=\")\n    os.environ[name] = value\n",
	"print(\"starting\")\n", "cores = multiprocessing.cpu_count()\nlimit = cores * 2\n_private = limit\n",
}

// newAlikeCase makes the n-th case of a seed.
func newAlikeCase(seed uint64, n int) alikeCase {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	c := alikeCase{name: fmt.Sprintf("%d", n), given: map[string]string{}}
	inFile := r.IntN(100) < 80
	var conf strings.Builder
	var variable []string
	add := func(h habit, v spelled) {
		places := []string{"file", "file", "file", "args", "args", "variable"}
		place := places[r.IntN(len(places))]
		switch {
		case place == "file" && inFile && v.python != "" && strings.HasPrefix(v.python, "def "):
			conf.WriteString(v.python + "\n")
		case place == "file" && inFile && v.python != "":
			fmt.Fprintf(&conf, "%s = %s\n", h.name, v.python)
		case place == "variable" && v.flag != "" && h.flag != "":
			variable = append(variable, flagWords(h.flag, v.flag)...)
		case v.flag != "" && h.flag != "":
			c.args = append(c.args, flagWords(h.flag, v.flag)...)
		default:
			return
		}
		c.given[h.name] = v.value
	}
	add(habit{name: "bind", flag: "-b"}, addresses[r.IntN(len(addresses))])
	for _, h := range habits {
		if r.IntN(100) < h.often {
			add(h, h.values[r.IntN(len(h.values))])
		}
	}
	if inFile {
		for _, p := range programs {
			if r.IntN(100) < 15 {
				conf.WriteString(p)
			}
		}
		c.conf = "import multiprocessing\nimport os\nimport sys\n" + conf.String()
		c.nameFile(r)
	}
	if _, ok := c.given["bind"]; !ok {
		c.env = append(c.env, "PORT=PORT")
	}
	c.env = append(c.env, "DOOMED=1")
	if r.IntN(100) < 10 {
		c.env = append(c.env, "WEB_CONCURRENCY=2")
	}
	if r.IntN(100) < 5 && c.given["raw_env"] != "mount" {
		c.env = append(c.env, "SCRIPT_NAME=/shop")
	}
	if len(variable) > 0 {
		c.env = append(c.env, "GUNICORN_CMD_ARGS="+quoted(variable))
	}
	return c
}

// nameFile chooses where the file is, and how it is named to the program.
func (c *alikeCase) nameFile(r *rand.Rand) {
	switch r.IntN(6) {
	case 0:
		c.file = "deploy/conf.py"
		c.args = append(c.args, "-c", c.file)
	case 1:
		c.file = "deploy/conf.py"
		c.args = append(c.args, "-c", "python:deploy.conf")
	case 2:
		c.file = "deploy/conf.py"
		c.args = append(c.args, "--config", "file:"+c.file)
	default:
		c.file = "gunicorn.conf.py"
	}
}

func flagWords(flag, value string) []string {
	switch {
	case value == "-" && slices.Contains([]string{"--preload", "--capture-output", "--no-sendfile"}, flag):
		return []string{flag}
	case strings.HasPrefix(flag, "--") && len(value)%2 == 0:
		return []string{flag + "=" + value}
	}
	return []string{flag, value}
}

// quoted writes words as a shell takes them.
func quoted(words []string) string {
	var out []string
	for i, w := range words {
		switch {
		case !strings.ContainsAny(w, " '\"()%*"):
		case i%2 == 0:
			w = "'" + w + "'"
		default:
			w = `"` + w + `"`
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

// alikeFiles are the files of every case's folder.
var alikeFiles = map[string]string{
	"app.py": alikeApp, "src/app.py": alikeApp, "VERSION": "1.2.3\n", "dotenv": "FROM_DOTENV=yes\nOTHER=a b\n",
	"settings.py": "backlog = 100\nSHARED = 1\n", "lib/helper.py": "", "other/helper.py": "", "deploy/README": "",
}

// alikeApp tells what an application can know of its server.
const alikeApp = `
import json, os, sys, time

HOME = os.environ["CASE"]
NAMES = ("RELEASE", "FROM_CONF", "FROM_DOTENV", "OTHER", "DOOMED", "SCRIPT_NAME", "PORT")
KEYS = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "wsgi.url_scheme", "REMOTE_ADDR", "wsgi.multithread", "SERVER_PROTOCOL",
        "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "HTTP_X_CUSTOM_PROTO", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_FOR")

def near(path):
    path = os.path.join(os.getcwd(), path)
    return os.path.relpath(path, HOME) if path.startswith(HOME) else None

def app(environ, start_response):
    if environ["PATH_INFO"].endswith("/sleep"):
        time.sleep(2.5)
    start_response("200 Fine", [("Content-Type", "application/json"), ("X-Pid", str(os.getpid()))])
    return [json.dumps({
        "environ": {k: environ[k] for k in KEYS if k in environ}, "os": {k: os.environ[k] for k in NAMES if k in os.environ},
        "cwd": near("."), "path": [p for p in map(near, sys.path) if p], "body": environ["wsgi.input"].read().decode("latin-1"),
    }, sort_keys=True, indent=1).encode()]
`
