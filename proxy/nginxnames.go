package proxy

import (
	"fmt"
	"slices"
	"strings"

	"alicorn/config"
)

// nginxModule is a module of nginx: all its directives, including those that this
// program has too, and what to use here instead of the others.
type nginxModule struct {
	name       string
	instead    string // what the message says after "is not here yet; "; "": nothing
	directives string
}

// passing are the directives that nginx's modules for other servers share, without the
// protocol's name and "_" in front.
const passing = "bind buffer_size buffering buffers busy_buffers_size cache cache_background_update cache_bypass cache_key cache_lock cache_lock_age " +
	"cache_lock_timeout cache_max_range_offset cache_methods cache_min_uses cache_path cache_purge cache_revalidate cache_use_stale cache_valid connect_timeout " +
	"force_ranges hide_header ignore_client_abort ignore_headers intercept_errors limit_rate max_temp_file_size next_upstream next_upstream_timeout " +
	"next_upstream_tries no_cache param pass pass_header pass_request_body pass_request_headers read_timeout request_buffering send_timeout socket_keepalive store " +
	"store_access temp_file_write_size temp_path"

// overTLS are the directives for servers that are reached over TLS.
const overTLS = "ssl_certificate ssl_certificate_cache ssl_certificate_key ssl_ciphers ssl_conf_command ssl_crl ssl_key_log ssl_name ssl_password_file ssl_protocols " +
	"ssl_server_name ssl_session_reuse ssl_trusted_certificate ssl_verify ssl_verify_depth"

// protocols are nginx's modules for other servers: the name, what to use here instead,
// and the directives that the module has beside the shared ones.
var protocols = []struct{ name, instead, own string }{
	{"proxy", "", "cache_convert_head cookie_domain cookie_flags cookie_path headers_hash_bucket_size headers_hash_max_size http_version method redirect " +
		"send_lowat set_body set_header allow_upstream bind_dynamic " + overTLS +
		" download_rate half_close pass_error_message protocol protocol_timeout requests responses session_drop smtp_auth ssl timeout upload_rate buffer"},
	{"fastcgi", "", "catch_stderr index keep_conn send_lowat split_path_info"},
	{"uwsgi", "", "modifier1 modifier2 string " + overTLS},
	{"scgi", "", ""},
	{"grpc", forApplications, "set_header " + overTLS},
	{"memcached", forApplications, "gzip_flag"},
	{"tunnel", forApplications, "allow_upstream bind_dynamic"},
}

const forApplications = "for Python applications use app_pass"

// nginxModules are the other modules of nginx, commercial ones too.
var nginxModules = []nginxModule{
	{"core", "", "accept_mutex accept_mutex_delay daemon debug_connection debug_points env error_log events include load_module lock_file master_process multi_accept " +
		"pcre_jit pid ssl_engine ssl_object_cache_inheritable thread_pool timer_resolution use user worker_aio_requests worker_connections worker_cpu_affinity " +
		"worker_priority worker_processes worker_rlimit_core worker_rlimit_nofile worker_shutdown_timeout working_directory"},
	{"http core", "", "absolute_redirect aio aio_write alias auth_delay chunked_transfer_encoding client_body_buffer_size client_body_in_file_only " +
		"client_body_in_single_buffer client_body_temp_path client_body_timeout client_header_buffer_size client_header_timeout client_max_body_size " +
		"connection_pool_size default_type directio directio_alignment disable_symlinks early_hints error_page etag http if_modified_since ignore_invalid_headers internal " +
		"keepalive_disable keepalive_min_timeout keepalive_requests keepalive_time keepalive_timeout large_client_header_buffers limit_except limit_rate limit_rate_after " +
		"lingering_close lingering_time lingering_timeout listen location log_not_found log_subrequest max_headers max_ranges merge_slashes msie_padding msie_refresh open_file_cache " +
		"open_file_cache_errors open_file_cache_events open_file_cache_min_uses open_file_cache_valid optimize_server_names output_buffers port_in_redirect post_action postpone_output read_ahead recursive_error_pages " +
		"request_pool_size reset_timedout_connection resolver resolver_timeout root satisfy send_lowat send_timeout sendfile sendfile_max_chunk server server_name " +
		"server_name_in_redirect server_names_hash_bucket_size server_names_hash_max_size server_tokens subrequest_output_buffer_size tcp_nodelay tcp_nopush try_files " +
		"types types_hash_bucket_size types_hash_max_size underscores_in_headers variables_hash_bucket_size variables_hash_max_size"},
	{"access", "", "allow deny"},
	{"access log", "", "access_log log_format open_log_file_cache"},
	{"acme", "", "acme_issuer acme_certificate acme_shared_zone"},
	{"access of before", "", "satisfy_any"},
	{"addition", "", "add_after_body add_before_body addition_types"},
	{"api", `"alicorn status --json" tells what it tells`, "api status_zone status status_format upstream_conf"},
	{"auth_basic", "", "auth_basic auth_basic_user_file"},
	{"auth_jwt", "the application can check tokens", "auth_jwt auth_jwt_claim_set auth_jwt_header_set auth_jwt_key_cache auth_jwt_key_file auth_jwt_key_request auth_jwt_leeway auth_jwt_require auth_jwt_type"},
	{"autoindex", "", "autoindex autoindex_exact_size autoindex_format autoindex_localtime"},
	{"browser", "", "ancient_browser ancient_browser_value modern_browser modern_browser_value"},
	{"charset", "", "charset charset_map charset_types override_charset source_charset"},
	{"dav", "", "create_full_put_path dav_access dav_methods min_delete_depth"},
	{"empty_gif", "", "empty_gif"},
	{"flv, mp4, hls and f4f", "files are served with ranges, which players use", "f4f f4f_buffer_size flv hls hls_buffers hls_forward_args hls_fragment hls_mp4_buffer_size hls_mp4_max_buffer_size mp4 " +
		"mp4_buffer_size mp4_limit_rate mp4_limit_rate_after mp4_max_buffer_size mp4_start_key_frame"},
	{"degradation and event methods", "", "acceptex_read connections degradation degrade devpoll_changes devpoll_events epoll_events eventport_events iocp_threads kqueue_changes kqueue_events post_acceptex"},
	{"geo and geoip", "", "geo geoip_city geoip_country geoip_org geoip_proxy geoip_proxy_recursive"},
	{"gzip", "", "gunzip gunzip_buffers gzip gzip_buffers gzip_comp_level gzip_disable gzip_hash gzip_http_version gzip_min_length gzip_no_buffer gzip_proxied gzip_static gzip_types gzip_vary gzip_window postpone_gzipping"},
	{"headers", "", "add_header add_header_inherit add_trailer add_trailer_inherit expires"},
	{"http2 and http3", "clients are spoken to by HTTP/1.1", "http2 http2_body_preread_size http2_chunk_size http2_idle_timeout http2_max_concurrent_pushes http2_max_concurrent_streams http2_max_field_size " +
		"http2_max_header_size http2_max_requests http2_pool_size http2_push http2_push_preload http2_recv_buffer_size http2_recv_timeout http2_streams_index_size http3 http3_hq http3_max_concurrent_pushes " +
		"http3_max_concurrent_streams http3_push http3_push_preload http3_stream_buffer_size quic_active_connection_id_limit quic_bpf quic_gso quic_host_key quic_mtu quic_retry " +
		"spdy_chunk_size spdy_headers_comp spdy_keepalive_timeout spdy_max_concurrent_streams spdy_pool_size spdy_recv_buffer_size spdy_recv_timeout spdy_streams_index_size"},
	{"image_filter", "", "image_filter image_filter_buffer image_filter_interlace image_filter_jpeg_quality image_filter_sharpen image_filter_transparency image_filter_webp_quality"},
	{"index", "", "index random_index"},
	{"internal_redirect", "", "internal_redirect"},
	{"js", "", "js_access js_body_filter js_content js_context_reuse js_engine js_fetch_buffer_size js_fetch_ciphers js_fetch_keepalive js_fetch_max_response_buffer_size js_fetch_protocols js_fetch_proxy js_fetch_timeout " +
		"js_fetch_trusted_certificate js_fetch_verify js_fetch_verify_depth js_filter js_header_filter js_import js_include js_path js_periodic js_preload_object js_preread js_set js_shared_dict_zone js_var"},
	{"limit_conn", "limit_req bounds how many requests an address may send", "limit_conn limit_conn_dry_run limit_conn_log_level limit_conn_status limit_conn_zone limit_zone"},
	{"limit_req", "", "limit_req limit_req_dry_run limit_req_log_level limit_req_status limit_req_zone"},
	{"mail", "this program speaks HTTP alone", "auth_http auth_http_header auth_http_pass_client_cert auth_http_timeout imap_auth imap_capabilities imap_client_buffer mail max_errors pop3_auth pop3_capabilities " +
		"protocol so_keepalive smtp_auth smtp_capabilities smtp_client_buffer smtp_greeting_delay starttls timeout xclient"},
	{"map and split_clients", "", "map map_hash_bucket_size map_hash_max_size split_clients"},
	{"mgmt and otel", "", "mgmt otel_exporter otel_service_name otel_span_attr otel_span_name otel_trace otel_trace_context license_token deployment_context usage_report state_path enforce_initial_report"},
	{"mirror", "", "mirror mirror_request_body"},
	{"num_map", "", "num_map"},
	{"perl", "", "perl perl_modules perl_require perl_set"},
	{"perftools", "", "google_perftools_profiles"},
	{"realip", "", "real_ip_header real_ip_recursive set_real_ip_from"},
	{"referer", "", "referer_hash_bucket_size referer_hash_max_size valid_referers"},
	{"rewrite", "", "break if return rewrite rewrite_log set uninitialized_variable_warn"},
	{"secure_link", "the application can check links, and send a file by X-Accel-Redirect", "secure_link secure_link_md5 secure_link_secret"},
	{"session_log", "", "session_log session_log_format session_log_zone"},
	{"slice", "", "slice"},
	{"ssi", "", "ssi ssi_ignore_recycled_buffers ssi_last_modified ssi_min_file_chunk ssi_silent_errors ssi_types ssi_value_length"},
	{"ssl of before", `"ssl" behind the address of listen is its successor`, "ssl"},
	{"ssl", "", "ssl_alpn ssl_buffer_size ssl_certificate ssl_certificate_cache ssl_certificate_compression ssl_certificate_key ssl_ciphers ssl_client_certificate ssl_conf_command ssl_crl ssl_dhparam " +
		"ssl_early_data ssl_ecdh_curve ssl_ech_file ssl_handshake_timeout ssl_key_log ssl_ocsp ssl_ocsp_cache ssl_ocsp_responder ssl_password_file ssl_prefer_server_ciphers ssl_preread ssl_protocols " +
		"ssl_reject_handshake ssl_session_cache ssl_session_ticket_key ssl_session_tickets ssl_session_timeout ssl_stapling ssl_stapling_file ssl_stapling_responder ssl_stapling_verify " +
		"ssl_trusted_certificate ssl_verify_client ssl_verify_depth"},
	{"stream", "this program speaks HTTP alone", "preread_buffer_size preread_timeout proxy_protocol_timeout pass stream"},
	{"stub_status", "", "stub_status"},
	{"sub", "", "sub_filter sub_filter_last_modified sub_filter_once sub_filter_types"},
	{"balancing in upstream", "", "hash ip_hash least_conn least_time random sticky"},
	{"sticky of before", `"sticky cookie" is its successor`, "sticky_cookie_insert"},
	{"upstream", "", "health_check health_check_timeout keepalive match ntlm queue state upstream zone"},
	{"userid", "", "userid userid_domain userid_expires userid_flags userid_mark userid_name userid_p3p userid_path userid_service"},
	{"xslt", "", "xml_entities xslt_last_modified xslt_param xslt_string_param xslt_stylesheet xslt_types"},
	{"zone_sync", "", "zone_sync zone_sync_buffers zone_sync_connect_retry_interval zone_sync_connect_timeout zone_sync_interval zone_sync_recv_buffer_size zone_sync_server zone_sync_timeout"},
}

// NginxDirective returns the message for a directive of nginx that this program does not
// have; "" if nginx has none of that name.
func NginxDirective(name string) string {
	instead, known := "", false
	if prefix, rest, ok := strings.Cut(name, "_"); ok {
		for _, p := range protocols {
			if p.name == prefix && (listed(passing, rest) || listed(p.own, rest)) {
				instead, known = p.instead, true
			}
		}
	}
	for _, m := range nginxModules {
		if !known && listed(m.directives, name) {
			instead, known = m.instead, true
		}
	}
	switch {
	case !known:
		return ""
	case instead == "":
		return fmt.Sprintf("nginx's %s is not here yet", name)
	}
	return fmt.Sprintf("nginx's %s is not here yet; %s", name, instead)
}

// NginxDirectiveNear returns the message for a misspelt directive: the nearest name among
// nginx's directives, and what NginxDirective says of that one; "" if none is near.
func NginxDirectiveNear(name string) string {
	var names []string
	for _, p := range protocols {
		for rest := range strings.FieldsSeq(passing + " " + p.own) {
			names = append(names, p.name+"_"+rest)
		}
	}
	for _, m := range nginxModules {
		names = append(names, strings.Fields(m.directives)...)
	}
	near := config.Nearest(name, names)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q? %s", near, NginxDirective(near))
}

// listed reports whether word is one of the words of list.
func listed(list, word string) bool { return slices.Contains(strings.Fields(list), word) }
