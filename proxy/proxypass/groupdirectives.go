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
			Help:   "A group of servers with a name for proxy_pass and its like. The servers take turns. Connections to them live through a reload that does not change the block."},
	}
}

func serverDirectives(k *blockKey) []config.Directive {
	return []config.Directive{
		{Name: "server", Args: config.SomeArg, Repeat: true, Syntax: "ADDRESS [weight=N] [max_conns=N] [max_fails=N] [fail_timeout=TIME] [slow_start=TIME] [route=NAME] [service=NAME] [resolve] [down] [backup] [drain]", Set: addServer(k),
			Help: "A server of the upstream: HOST, HOST:PORT or unix:PATH. weight (1) is its share of the requests. max_conns (0: any number) is how many requests it gets at a time, from all event loops together; kept connections do not count, those of WebSockets do. After max_fails failures (1; 0: any number) within fail_timeout (10s) a server gets no requests for the time of fail_timeout. If there is no other server, the one that has rested longest gets the request, where nginx answers 502. slow_start (0) is the time in which the share of a server that has rested grows from nothing to its weight. route is the name of the server for sticky. With resolve, which needs resolver in the block or around it, the name is looked up while requests are served, and again when its answer expires; connections to addresses that stay go on. A name that does not exist has no addresses; if name servers fail, the server keeps its addresses. A new configuration waits for the first answers before it serves, at most 5 seconds. service=NAME takes addresses, ports and weights from the SRV records of _NAME._tcp.HOST, or, if NAME has dots, of NAME.HOST; addresses without the lowest priority are backups. A server with down gets no requests. A server with backup gets them if all others cannot take them. A server with drain gets only those of clients that sticky binds to it. As in nginx, backup and slow_start are errors after ip_hash, hash and random. Without a zone, each event loop counts failures separately, as nginx's workers do. A single server gets all requests."},
		{Name: "zone", Args: config.Arity{Min: 1, Max: 2}, Syntax: "NAME [SIZE]", Set: setZone(k),
			Help: "Makes all event loops share the turns and failures of the servers. Without it each loop has its own, unless the upstream has max_conns, queue, least_conn, least_time or \"random two\". In nginx SIZE is the size of the shared memory. Here SIZE has no effect, but is checked as in nginx: it is 32k or more, and one of the zone directives with the same NAME has it."},
		{Name: "queue", Args: config.Arity{Min: 1, Max: 2}, Syntax: "N [timeout=TIME]", Set: setQueue(k),
			Help: "How many requests may wait if all servers have as many as max_conns allows. They get a server in the order in which they came. If N requests wait already, or if a request has waited for timeout (60s), the answer is 502. Without queue it is 502 at once."},
	}
}

func methodDirectives(k *blockKey) []config.Directive {
	return []config.Directive{
		{Name: "least_conn", Args: config.Arity{}, Repeat: true, Syntax: "", Set: setBalancing(k, nil),
			Help: "In an upstream: each request goes to the server with the fewest requests, in proportion to weight. Servers with equally few take turns. If a block has several methods, the last one counts, as in nginx."},
		{Name: "ip_hash", Args: config.Arity{}, Repeat: true, Syntax: "", Set: setBalancing(k, nil),
			Help: "Requests of a client go to the same server, as long as it is available. The server depends on the first three bytes of the client's IPv4 address, or on its whole IPv6 address, as in nginx. To remove a server for some time, mark it down: then the clients of the others keep their servers."},
		{Name: "hash", Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "KEY [consistent]", Set: setBalancing(k, readHash),
			Help: "Requests with the same KEY, a text with variables, go to the same server; it is the one that nginx chooses. With consistent (ketama), adding or removing a server moves only its own share of the keys. If KEY is empty, the servers take turns."},
		{Name: "random", Args: config.Arity{Max: 2}, Repeat: true, Syntax: "[two [least_conn | least_time=header | least_time=last_byte]]", Set: setBalancing(k, readRandom),
			Help: "Each request goes to a random server, in proportion to weight. With two, it goes to the better one of two random servers: the one with fewer requests, or the one that least_time would choose."},
		{Name: "least_time", Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "header | last_byte [inflight]", Set: setBalancing(k, readLeastTime),
			Help: "Each request goes to the server with the shortest average time of answers and the fewest requests, in proportion to weight. header counts the time until the head of an answer has come, last_byte the time until all of it has come. With inflight, answers that are late count, too. Averages are compared in steps of 20 ms, and longer ones than 5 s are equal; equal servers take turns. The average of a server that has had no request for longer than fail_timeout is halved for each fail_timeout and a second."},
		{Name: "sticky", Args: config.Arity{Min: 2, Max: -1}, Syntax: "cookie NAME [expires=TIME|max] [domain=DOMAIN] [httponly] [samesite=strict|lax|none|$VARIABLE] [secure] [path=PATH] | route $VARIABLE ... | learn create=$VARIABLE ... lookup=$VARIABLE ... zone=NAME:SIZE [timeout=TIME] [header]", Set: setSticky(k),
			Help: "Binds clients to servers: the requests of a client go to the same server as long as it can take them, otherwise to one that the method chooses. cookie adds to each answer a cookie with the server's route, or with the MD5 of its address if it has no route. The cookie has only the attributes that are given. route compares the first variable that is not empty with the servers' routes. learn remembers the session of an answer, which is the first create variable that is not empty, such as $upstream_cookie_NAME, with its server, and sends requests with the same value in a lookup variable to that server. A session that was not used for timeout (10m) is forgotten. If the zone is full, with 4096 sessions per megabyte, the session is forgotten that was not used for the longest time. With header a session is remembered once the head of an answer has come, otherwise once all of it has. Sessions live through reloads."},
	}
}

func keepDirectives(k *blockKey) []config.Directive {
	return []config.Directive{
		{Name: "keepalive", Args: config.OneArg, Syntax: "N", Default: "32", Set: setKeepalive(k),
			Help: "How many connections to the servers each event loop keeps for further requests; 0: none. Further connections are closed if no request has used them for 100 ms. The default is that of nginx since 1.29.7."},
		{Name: "keepalive_timeout", Args: config.OneArg, Syntax: "TIME", Default: "60s", Set: ofGroup(k, func(d *definition) *time.Duration { return &d.keepTimeout }),
			Help: "How long an unused connection is kept; 0: none is kept."},
		{Name: "keepalive_time", Args: config.OneArg, Syntax: "TIME", Default: "1h", Set: ofGroup(k, func(d *definition) *time.Duration { return &d.keepTime }),
			Help: "How long after its beginning a connection may get further requests."},
		{Name: "keepalive_requests", Args: config.OneArg, Syntax: "N", Default: "1000", Set: config.Int(k, 0, 1<<30, func(c *blockSettings) *int { return &c.group.keepRequests }),
			Help: "How many requests a connection may get; 0: one, and then it is closed."},
	}
}
