package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// gunicornSetting is one of gunicorn's settings. The table of them applies to the file
// and to the command line.
type gunicornSetting struct {
	name  string // in gunicorn.conf.py; "" for a setting that is only a flag
	flag  string // on the command line; "" for a setting that is only in the file
	short string // the flag's letter, where the flag has no effect here
	kind  valueKind
	// why says why the setting has no effect here; "": it has one.
	why string
	// guards says that the setting is about security: when it has no effect that
	// is an error, not a note.
	guards bool
	// usual is gunicorn's default, as the flag takes it. It needs no note.
	usual string
}

// valueKind is the kind of a setting's value.
type valueKind uint8

const (
	text valueKind = iota
	number
	boolean
	list
	table // a dictionary, only in the file
	class // a name, or an object in the file
	hook  // a function that gunicorn calls
)

const (
	ownLogs   = "the front writes its logs itself; use error_log and access_log in a configuration"
	ownConfig = ownLogs + "; other loggers are configured by the application"
	noSyslog  = "use \"error_log syslog:...\" in a configuration, where this version has it; the service manager's journal gets standard error"
	noStatsd  = "there are no statsd metrics"
	noPaste   = "an application of Paste is served by a Python file that loads it"
	lenient   = "the front reads requests strictly"
)

// gunicornSettings are all settings of gunicorn up to version 23.
var gunicornSettings = []gunicornSetting{
	{name: "bind", flag: "bind", kind: list},
	{name: "backlog", flag: "backlog", kind: number},
	{name: "workers", flag: "workers", kind: number},
	{name: "worker_class", flag: "worker-class", kind: class},
	{name: "threads", flag: "threads", kind: number},
	{name: "worker_connections", flag: "worker-connections", kind: number, usual: "1000", why: "connections are held by the front and cost a worker nothing"},
	{name: "max_requests", flag: "max-requests", kind: number},
	{name: "max_requests_jitter", flag: "max-requests-jitter", kind: number},
	{name: "timeout", flag: "timeout", kind: number},
	{name: "graceful_timeout", flag: "graceful-timeout", kind: number},
	{name: "keepalive", flag: "keep-alive", kind: number},
	{name: "limit_request_line", flag: "limit-request-line", kind: number},
	{name: "limit_request_fields", flag: "limit-request-fields", kind: number},
	{name: "limit_request_field_size", flag: "limit-request-field_size", kind: number},
	{name: "reload", flag: "reload", kind: boolean, why: "files are not watched yet; \"alicorn reload\", or the signal HUP, loads changed code without losing a request"},
	{name: "reload_engine", flag: "reload-engine", usual: "auto", why: "files are not watched yet"},
	{name: "reload_extra_files", flag: "reload-extra-file", kind: list, why: "files are not watched yet"},
	{name: "spew", flag: "spew", kind: boolean, why: "lines of Python are not traced"},
	{name: "check_config", flag: "check-config", kind: boolean},
	{name: "print_config", flag: "print-config", kind: boolean},
	{name: "preload_app", flag: "preload", kind: boolean, why: "workers import the application themselves"},
	{name: "sendfile", flag: "no-sendfile", kind: boolean, why: "files are sent as the system does it best; use sendfile in a configuration"},
	{name: "reuse_port", flag: "reuse-port", kind: boolean},
	{name: "chdir", flag: "chdir"},
	{name: "daemon", flag: "daemon", kind: boolean},
	{name: "raw_env", flag: "env", kind: list},
	{name: "pidfile", flag: "pid"},
	{name: "worker_tmp_dir", flag: "worker-tmp-dir", why: "workers need no temporary folder for a heartbeat"},
	{name: "user", flag: "user"},
	{name: "group", flag: "group"},
	{name: "umask", flag: "umask", kind: number},
	{name: "initgroups", flag: "initgroups", kind: boolean, why: "workers have all groups of their user"},
	{name: "tmp_upload_dir", why: "bodies of requests wait in the cache folder; use client_body_temp_path in a configuration"},
	{name: "secure_scheme_headers", kind: table},
	{name: "forwarded_allow_ips", flag: "forwarded-allow-ips"},
	{name: "accesslog", flag: "access-logfile"},
	{name: "disable_redirect_access_to_syslog", flag: "disable-redirect-access-to-syslog", kind: boolean, why: noSyslog},
	{name: "access_log_format", flag: "access-logformat"},
	{name: "errorlog", flag: "error-logfile"},
	{name: "loglevel", flag: "log-level"},
	{name: "capture_output", flag: "capture-output", kind: boolean},
	{name: "logger_class", flag: "logger-class", kind: class, usual: "gunicorn.glogging.Logger", why: ownLogs},
	{name: "logconfig", flag: "log-config", why: ownConfig},
	{name: "logconfig_dict", kind: table, why: ownConfig},
	{name: "logconfig_json", flag: "log-config-json", why: ownConfig},
	{name: "syslog_addr", flag: "log-syslog-to", usual: "udp://localhost:514", why: noSyslog},
	{name: "syslog", flag: "log-syslog", kind: boolean, why: noSyslog},
	{name: "syslog_prefix", flag: "log-syslog-prefix", why: noSyslog},
	{name: "syslog_facility", flag: "log-syslog-facility", usual: "user", why: noSyslog},
	{name: "enable_stdio_inheritance", flag: "enable-stdio-inheritance", short: "R", kind: boolean, why: "what workers print is always read"},
	{name: "statsd_host", flag: "statsd-host", why: noStatsd},
	{name: "dogstatsd_tags", flag: "dogstatsd-tags", why: noStatsd},
	{name: "statsd_prefix", flag: "statsd-prefix", why: noStatsd},
	{name: "backlog_metric", flag: "enable-backlog-metric", kind: boolean, why: noStatsd},
	{name: "proc_name", flag: "name", short: "n", why: "processes are named after the program"},
	{name: "default_proc_name", usual: "gunicorn", why: "processes are named after the program"},
	{name: "pythonpath", flag: "pythonpath"},
	{name: "paste", flag: "paste", guards: true, why: noPaste},
	{name: "paste", flag: "paster", guards: true, why: noPaste},
	{name: "raw_paste_global_conf", flag: "paste-global", kind: list, why: noPaste},
	{name: "wsgi_app"},
	{name: "config", flag: "config", why: "the command line names it"},
	{name: "on_starting", kind: hook}, {name: "on_reload", kind: hook}, {name: "when_ready", kind: hook}, {name: "pre_fork", kind: hook},
	{name: "post_fork", kind: hook}, {name: "post_worker_init", kind: hook}, {name: "worker_int", kind: hook}, {name: "worker_abort", kind: hook},
	{name: "pre_exec", kind: hook}, {name: "pre_request", kind: hook}, {name: "post_request", kind: hook}, {name: "child_exit", kind: hook},
	{name: "worker_exit", kind: hook}, {name: "nworkers_changed", kind: hook}, {name: "on_exit", kind: hook},
	{name: "ssl_context", kind: hook, guards: true, why: "use ssl_protocols, ssl_ciphers and their like in a configuration"},
	{name: "proxy_protocol", flag: "proxy-protocol", kind: boolean},
	{name: "proxy_allow_ips", flag: "proxy-allow-from"},
	{name: "keyfile", flag: "keyfile"},
	{name: "certfile", flag: "certfile"},
	{name: "ssl_version", flag: "ssl-version", usual: "2", guards: true, why: "TLS is 1.2 or newer; use ssl_protocols in a configuration"},
	{name: "cert_reqs", flag: "cert-reqs", kind: number},
	{name: "ca_certs", flag: "ca-certs"},
	{name: "suppress_ragged_eofs", flag: "suppress-ragged-eofs", kind: boolean, usual: "true", why: "a client that leaves without a word is no error"},
	{name: "do_handshake_on_connect", flag: "do-handshake-on-connect", kind: boolean, why: "handshakes keep no worker"},
	{name: "ciphers", flag: "ciphers", guards: true, why: "use ssl_ciphers in a configuration"},
	{name: "permit_obsolete_folding", flag: "permit-obsolete-folding", kind: boolean, why: lenient},
	{name: "strip_header_spaces", flag: "strip-header-spaces", kind: boolean, why: lenient},
	{name: "permit_unconventional_http_method", flag: "permit-unconventional-http-method", kind: boolean, why: "methods in lower case are not refused"},
	{name: "permit_unconventional_http_version", flag: "permit-unconventional-http-version", kind: boolean, why: lenient},
	{name: "casefold_http_method", flag: "casefold-http-method", kind: boolean, why: "methods are given as they came"},
	{name: "tolerate_dangerous_framing", flag: "tolerate-dangerous-framing", kind: boolean, why: lenient},
	{name: "header_map", flag: "header-map", usual: "drop", guards: true, why: "names with underscores are dropped; use underscores_in_headers in a configuration"},
	{name: "forwarder_headers", flag: "forwarder-headers", usual: "SCRIPT_NAME,PATH_INFO", why: "no header sets SCRIPT_NAME or PATH_INFO"},
}

// settingOf finds a setting by its name in the file.
func settingOf(name string) (gunicornSetting, bool) {
	i := slices.IndexFunc(gunicornSettings, func(g gunicornSetting) bool { return g.name == name })
	if i < 0 {
		return gunicornSetting{}, false
	}
	return gunicornSettings[i], true
}

// settingNames returns the names of settings in a file.
func settingNames() (names []string) {
	for _, g := range gunicornSettings {
		if !slices.Contains(names, g.name) {
			names = append(names, g.name)
		}
	}
	return names
}

// asksNothing reports whether words, as the flag takes them, are gunicorn's default
// for the setting.
func (g gunicornSetting) asksNothing(words []string) bool {
	if len(words) == 0 {
		return true
	}
	if len(words) > 1 {
		return false
	}
	switch word := words[0]; {
	case g.name == "sendfile":
		return word == "true"
	case g.kind == boolean && g.usual == "":
		return word == "false"
	case g.usual != "":
		return word == g.usual
	default:
		return word == ""
	}
}

// parseNumber reads a whole number as Python does: in a literal's notation, with
// blanks around it. Decimal numbers may start with zeros, as on a command line. A
// number that does not fit an int32 becomes the largest int32.
func parseNumber(word string, least int) (int, error) {
	digits := strings.TrimSpace(word)
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		n, err = strconv.ParseInt(digits, 0, 64)
	}
	if err != nil || n < int64(least) {
		return 0, fmt.Errorf("it takes a whole number of at least %d", least)
	}
	return int(min(n, math.MaxInt32)), nil
}

// parseMask reads a umask, which is octal after a zero, as on gunicorn's command line.
func parseMask(word string) (int, error) {
	digits := strings.TrimSpace(word)
	n, err := strconv.ParseUint(digits, 0, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("it takes permissions to withhold, from 0 to 0o777, as in 0o022")
	}
	return int(n), nil
}
