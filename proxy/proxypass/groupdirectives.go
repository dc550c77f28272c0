package proxypass

import (
	"slices"
	"time"

	"alicorn/config"
)

func upstreamDirectives(k *blockKey, o Options) []config.Directive {
	return []config.Directive{
		healthDirective(k), matchDirective(k),
		{Name: "upstream", In: config.HTTP, Block: true, Args: config.OneArg, Repeat: true, Syntax: "NAME", Set: openUpstream(k),
			Inside: slices.Concat(serverDirectives(k), methodDirectives(k), keepDirectives(k), o.Resolver.Directives(0)),
			Help:   "Servers that proxy_pass names together, and which take turns. The connections to them live through a reload that leaves the block as it is."},
	}
}

func serverDirectives(k *blockKey) []config.Directive {
	return []config.Directive{
		{Name: "server", Args: config.SomeArg, Repeat: true, Syntax: "ADDRESS [weight=N] [max_conns=N] [max_fails=N] [fail_timeout=TIME] [slow_start=TIME] [route=NAME] [service=NAME] [resolve] [down] [backup] [drain]", Set: addServer(k),
			Help: "A server of the upstream: HOST, HOST:PORT or unix:PATH. weight (1) is its share of the requests. max_conns (0: any number) is how many requests it works on at once, in all event loops together; kept connections do not count, those of WebSockets do. A server that has failed max_fails times (1; 0: it is asked whatever happens) within fail_timeout (10s) is not asked for as long, unless there is no other: where nginx answers 502, the one that has rested longest is asked. slow_start (0) is the time in which the share of a server that has rested grows from nothing to its weight. route names the server for sticky. With resolve, which needs resolver in the block or around it, the name is looked up while it serves, again whenever its answer says so; connections to addresses that stay go on. A name that is unknown then has no addresses; while name servers fail the old ones count. Before a configuration serves it waits for the first answers, for 5 seconds at most. service=NAME takes addresses, ports and weights from the SRV records of _NAME._tcp.HOST, or, where NAME has dots, of NAME.HOST; those that have not the lowest priority are backups. down marks one that is not asked at all, backup one that is asked when no other is left, drain one that is asked only for clients that sticky binds to it. As in nginx backup and slow_start are errors behind ip_hash, hash and random. Without a zone each event loop counts failures for itself, as nginx's workers do; a single server is always asked."},
		{Name: "zone", Args: config.Arity{Min: 1, Max: 2}, Syntax: "NAME [SIZE]", Set: setZone(k),
			Help: "Has all event loops share the turns and failures of the servers; without it each has its own, but for what max_conns, queue, least_conn, least_time and \"random two\" count. In nginx, where processes share, SIZE is the memory for that. Here a group takes what it needs, and SIZE is checked alone: 32k or more, and one of the zone directives of a NAME says it."},
		{Name: "queue", Args: config.Arity{Min: 1, Max: 2}, Syntax: "N [timeout=TIME]", Set: setQueue(k),
			Help: "How many requests may wait, in the order in which they came, when all servers work on as many as max_conns allows. Where N wait already, or one has waited for timeout (60s), the answer is 502. Without queue it is 502 at once."},
	}
}

func methodDirectives(k *blockKey) []config.Directive {
	return []config.Directive{
		{Name: "least_conn", Args: config.Arity{}, Repeat: true, Syntax: "", Set: setBalancing(k, nil),
			Help: "In an upstream: each request goes to the server that works on the fewest, in proportion to weight. Those that work on as few take turns. Of several methods the last counts, as in nginx."},
		{Name: "ip_hash", Args: config.Arity{}, Repeat: true, Syntax: "", Set: setBalancing(k, nil),
			Help: "Requests of a client always go to the same server, as long as that is there: it follows from the first three bytes of an IPv4 address, or from a whole IPv6 address, as in nginx. down keeps the place of a server that is not there for a while."},
		{Name: "hash", Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "KEY [consistent]", Set: setBalancing(k, readHash),
			Help: "Requests with the same KEY, a text with variables, go to the same server, which is the one that nginx has for it. With consistent (ketama) another server, or one less, changes that for its own share of the keys alone. Where KEY is empty the servers take turns."},
		{Name: "random", Args: config.Arity{Max: 2}, Repeat: true, Syntax: "[two [least_conn | least_time=header | least_time=last_byte]]", Set: setBalancing(k, readRandom),
			Help: "Each request goes to a server that chance names, in proportion to weight. With two it goes to the better one of two: to that which works on fewer requests, or which least_time would choose."},
		{Name: "least_time", Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "header | last_byte [inflight]", Set: setBalancing(k, readLeastTime),
			Help: "Each request goes to the server that has answered in the shortest time on average, and works on the fewest requests, in proportion to weight. header counts the time until the head of an answer has come, last_byte that until all of it has. With inflight a server counts as slow, too, while answers are late. Averages that differ by less than 20 ms are equal, and those of more than 5 s; servers that are equal take turns. The average of one that was not asked counts half after each fail_timeout."},
		{Name: "sticky", Args: config.Arity{Min: 2, Max: -1}, Syntax: "cookie NAME [expires=TIME|max] [domain=DOMAIN] [httponly] [samesite=strict|lax|none|$VARIABLE] [secure] [path=PATH] | route $VARIABLE ... | learn create=$VARIABLE ... lookup=$VARIABLE ... zone=NAME:SIZE [timeout=TIME] [header]", Set: setSticky(k),
			Help: "Binds clients to servers: their requests go to the same one as long as it can take them, and else to one that the method chooses. cookie gives each answer a cookie with the server's route, or without one the MD5 of its address; attributes that are not given are not set. route compares the first variable that is not empty with the servers' routes. learn remembers which server has answered with a session, the first value of create that is not empty, such as $upstream_cookie_NAME, and sends requests whose lookup has that value to it. A session that was not used for timeout (10m) is forgotten, and where the zone is full, 4096 sessions in a megabyte, the one that was unused for longest. header remembers once the head of an answer has come, not all of it. Sessions live through reloads."},
	}
}

func keepDirectives(k *blockKey) []config.Directive {
	return []config.Directive{
		{Name: "keepalive", Args: config.OneArg, Syntax: "N", Default: "32", Set: setKeepalive(k),
			Help: "How many connections to the servers each event loop keeps for further requests; 0: none. Others are closed when no request has needed them for 100 ms. The default is that of nginx since 1.29.7."},
		{Name: "keepalive_timeout", Args: config.OneArg, Syntax: "TIME", Default: "60s", Set: ofGroup(k, func(d *definition) *time.Duration { return &d.keepTimeout }),
			Help: "How long a connection is kept that is not used; 0: none is kept."},
		{Name: "keepalive_time", Args: config.OneArg, Syntax: "TIME", Default: "1h", Set: ofGroup(k, func(d *definition) *time.Duration { return &d.keepTime }),
			Help: "How long after its beginning a connection serves further requests."},
		{Name: "keepalive_requests", Args: config.OneArg, Syntax: "N", Default: "1000", Set: config.Int(k, 0, 1<<30, func(c *blockSettings) *int { return &c.group.keepRequests }),
			Help: "How many requests a connection serves; 0: one, as it is not kept."},
	}
}
