package proxy

import (
	"fmt"
	"strings"
)

// nginxVariables are the variables of nginx that this program does not have, each group
// with what to use instead; "": nothing. A name that ends in "_" is a family.
var nginxVariables = []struct{ instead, names string }{
	{"$upstream_addr has the names of all", "upstream_last_server_name"},
	{"$upstream_http_NAME is a field of a server's answer", "upstream_trailer_"},
	{"", "upstream_cache_status upstream_cache_age upstream_cache_key upstream_cache_key_zone"},
	{"$http_user_agent with \"if\" tells browsers apart", "ancient_browser modern_browser msie"},
	{"", "jwt_claim_ jwt_header_ jwt_payload limit_conn_status memcached_key request_body_file secure_link " +
		"secure_link_expires secure_link_expire session_log_id session_log_binary_id slice_range spdy spdy_request_priority tcpinfo_rtt tcpinfo_rttvar tcpinfo_snd_cwnd " +
		"tcpinfo_rcv_space uid_got uid_set uid_reset quic ssl_ech_outer_server_name ssl_ech_status geoip_area_code geoip_city geoip_city_continent_code geoip_city_country_code geoip_city_country_code3 " +
		"geoip_city_country_name geoip_country_code geoip_country_code3 geoip_country_name geoip_dma_code geoip_latitude geoip_longitude geoip_org geoip_postal_code geoip_region geoip_region_name " +
		"otel_trace_id otel_span_id otel_parent_id otel_parent_sampled"},
}

// nginxVariable returns the message for a variable of nginx that this program does not
// have; "" for any other name.
func nginxVariable(name string) string {
	for _, v := range nginxVariables {
		for known := range strings.FieldsSeq(v.names) {
			family := strings.HasSuffix(known, "_")
			switch {
			case !family && name != known, family && (name == known || !strings.HasPrefix(name, known)):
				continue
			case v.instead == "":
				return fmt.Sprintf("nginx's $%s is not here yet", name)
			}
			return fmt.Sprintf("nginx's $%s is not here yet; %s", name, v.instead)
		}
	}
	return ""
}
