package proxy

import (
	"log/slog"
	"sync/atomic"
	"time"

	"alicorn/config"
)

// Location is a compiled location block, or a server's own settings for
// requests that no location matches. It is immutable once its Generation runs.
type Location struct {
	Name string // as written, without the modifier; "@name" for named ones
	Kind LocationKind
	Pos  config.Pos
	Core *Core

	Server *Server
	Regex  *Regexp // for regular expression locations

	state         []any // the features' state, by place
	phases        [numPhases][]Action
	content       Handler
	slash         bool // see RedirectSlash
	headerFilters []HeaderFilter
	logs          []func(x *Exchange)
	tree          locations // the nested locations
	branches      []branch  // if blocks, and limit_except
	except        *except   // nil without limit_except
	overruns      atomic.Uint64
	provider      int // the index of the module that gave the content
	giver         int // the index of the module whose directive is to give it; -1: the first that does
	filling       int // the index of the module whose Compile is called
}

// LocationKind says how a location's name matches paths.
type LocationKind uint8

// The kinds, in the words of nginx's location directive.
const (
	LocationPrefix     LocationKind = iota // location /x
	LocationExact                          // location = /x
	LocationPrefixStop                     // location ^~ /x
	LocationRegex                          // location ~ x, ~* x
	LocationNamed                          // location @x
	LocationServer                         // the server's own settings
)

// On adds an action to a phase. The actions of a phase run in the order of modules.
func (l *Location) On(p Phase, a Action) { l.phases[p] = append(l.phases[p], a) }

// First adds a before the actions that the phase already has.
func (l *Location) First(p Phase, a Action) { l.phases[p] = append([]Action{a}, l.phases[p]...) }

// SetContent makes h the content, unless the location has one, or a directive of another
// module gives it: see Module.Content. Where none does the first module in the list wins,
// so that the fallback, static files, is last in the list.
func (l *Location) SetContent(h Handler) {
	if l.content == nil && (l.giver < 0 || l.giver == l.filling) {
		l.content, l.provider = h, l.filling
	}
}

// HasContent reports whether a module has given the location its content.
func (l *Location) HasContent() bool { return l.content != nil }

// RedirectSlash makes requests for the location's name without its last slash be redirected
// to the name with 301, as nginx does for proxied prefix locations.
func (l *Location) RedirectSlash() { l.slash = true }

// FilterHeader adds a filter of the response's head.
func (l *Location) FilterHeader(f HeaderFilter) { l.headerFilters = append(l.headerFilters, f) }

// OnLog adds a step of the log phase. It runs after the response, even if that was aborted.
// x.Res.Status is the status that was sent, or would have been.
func (l *Location) OnLog(f func(x *Exchange)) { l.logs = append(l.logs, f) }

// Core is the settings of this package's own directives that are in effect for one
// location. It does not change once it is compiled. Sizes are in bytes.
type Core struct {
	MaxBodySize       int64 // client_max_body_size; 0: no bound
	BodyBufferSize    int64 // client_body_buffer_size
	BodyTempPath      string
	HeaderTimeout     time.Duration // client_header_timeout
	BodyTimeout       time.Duration // client_body_timeout, between two reads
	SendTimeout       time.Duration // send_timeout, between two writes
	KeepaliveTimeout  time.Duration // 0: no keep-alive
	KeepaliveHeader   time.Duration // Keep-Alive: timeout=; 0: none
	KeepaliveRequests int
	KeepaliveTime     time.Duration // keepalive_time
	LingeringTime     time.Duration // lingering_time
	LingeringTimeout  time.Duration // lingering_timeout
	Lingering         Lingering     // lingering_close
	HeaderBufferSize  int64         // client_header_buffer_size
	MaxHeaders        int           // max_headers
	LargeBuffers      int           // large_client_header_buffers NUMBER
	LargeBufferSize   int64         // large_client_header_buffers SIZE
	IgnoreInvalid     bool          // ignore_invalid_headers
	Underscores       bool          // underscores_in_headers
	MergeSlashes      bool
	ServerTokens      bool
	ResetTimedOut     bool // reset_timedout_connection
	ChunkedEncoding   bool // chunked_transfer_encoding
	Internal          bool
	RecursivePages    bool
	AbsoluteRedirect  bool
	ServerNameInRedir bool
	PortInRedirect    bool
	LogNotFound       bool
	SatisfyAny        bool // satisfy any
	AuthDelay         time.Duration
	WarnUnset         bool         // uninitialized_variable_warn, set by the rewrite module
	ErrorLog          *slog.Logger // set by the errorlog module
	LimitRate         *Template    // limit_rate; nil: none
	LimitRateAfter    *Template    // limit_rate_after; nil: 0

	DefaultType string // default_type
	errorPages  config.List[*errorPage]
	sendfiles   config.List[Sendfile]
	types       *Types
	typesOf     *config.Scope // the block whose types blocks made types
	scope       *config.Scope // the block of these settings
}

// Lingering is lingering_close: whether the server, before it closes a connection, reads
// and drops what the client still sends.
type Lingering uint8

// The values of lingering_close.
const (
	LingeringOn Lingering = iota
	LingeringOff
	LingeringAlways
)

// MaxBodyNode returns the client_max_body_size directive in effect, nil for the default.
// The log line of a 413 names its place.
func (c *Core) MaxBodyNode() *config.Node { return c.scope.Nearest("client_max_body_size") }

// Server is a compiled server block.
type Server struct {
	Name      string // $server_name: the first server_name without a leading dot; "" without server_name
	Pos       config.Pos
	Scope     *config.Scope
	Root      *Location // the server's own settings
	Listens   []*Listen
	names     []serverName
	locations locations
	named     map[string]*Location
}

// rewrites reports whether the server has rewriting that runs before the location is found.
func (sv *Server) rewrites() bool { return len(sv.Root.phases[ServerRewrite]) > 0 }

// Names returns the server's names as server_name has them, in lower case, without regular
// expressions. A server without server_name has the name "".
func (sv *Server) Names() []string {
	var names []string
	for _, n := range sv.names {
		if n.regex == nil {
			names = append(names, n.name)
		}
	}
	return names
}

// NamePatterns returns the regular expressions among the server's names.
func (sv *Server) NamePatterns() (patterns []*Regexp) {
	for _, n := range sv.names {
		if n.regex != nil {
			patterns = append(patterns, n.regex)
		}
	}
	return patterns
}
