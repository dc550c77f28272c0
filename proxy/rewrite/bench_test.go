package rewrite

import "testing"

func BenchmarkPrograms(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"none", "location / { }"},
		{"return text", "return 200 hello;"},
		{"return redirect", "return 301 https://$host$request_uri;"},
		{"return status page", "return 403;"},
		{"if that does not hold", "if ($host = other.example) { return 301 https://$host$request_uri; }"},
		{"if in location", "location / { if ($host = localhost) { set $x 1; } }"},
		{"rewrite that does not match", "rewrite ^/old/(.*)$ /new/$1 permanent;"},
		{"rewrite last", "location / { rewrite ^/(p.*)$ /new/$1 last; } location /new/ { }"},
		{"rewrite redirect", "rewrite ^/(.*)$ https://$host/$1 permanent;"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := start(b, "server { listen 80; "+c.text+" }")
			b.ReportAllocs()
			for b.Loop() {
				s.Get("/path")
			}
		})
	}
}
