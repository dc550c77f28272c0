package main

import (
	"slices"
	"testing"
)

func TestFormatsOfGunicornsAccessLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format        string
		want, without []string
	}{
		{`%(h)s %(l)s %(u)s %(t)s "%(r)s"`, []string{`$remote_addr - $remote_user [$time_local] "$request"`}, nil},
		{`%({X-Forwarded-For}i)s/%({Server}o)sx`, []string{`${http_x_forwarded_for}/${sent_http_server}x`}, nil},
		{`%(p)s %(T)s %(L)s`, []string{`<$pid> $request_time $request_time`}, nil},
		{`%(M)s %({REMOTE_USER}e)s %()s`, []string{`- - -`}, []string{"%(M)s", "%({REMOTE_USER}e)s", "%()s"}},
		{` {"r": "%(r)s"}`, []string{"escape=json", ` {"r": "$request"}`}, nil},
		{`100%% %(s)s`, []string{`100% $status`}, nil},
		{`x`, []string{`x`}, nil},
		{`%h`, nil, nil}, {`%`, nil, nil}, {`%(h)d`, nil, nil}, {`%(h`, nil, nil}, {`h)s %(h)s%h)s`, nil, nil}, {`$x`, nil, nil}, {`%(h)s$`, nil, nil},
	} {
		words, without, err := logFormat(c.format)
		if (err != nil) != (c.want == nil) || err == nil && (!slices.Equal(words, c.want) || !slices.Equal(without, c.without)) {
			t.Errorf("%q is %q without %q, %v; want %q without %q", c.format, words, without, err, c.want, c.without)
		}
	}
}
