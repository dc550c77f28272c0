"""The application that `alicorn serve` shows where there is none: plain WSGI."""

import html
import os
import sys

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Alicorn is running</title>
<style>
:root { color-scheme: light dark; --ink: #1d1b26; --dim: #6b6779; --line: #e4e1ee; --mark: #6b3fd4; --page: #fbfaff; --card: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eceaf4; --dim: #a29db5; --line: #35313f; --mark: #b79cff; --page: #16141c; --card: #1f1c27; } }
body { margin: 0; font: 16px/1.6 system-ui, sans-serif; color: var(--ink); background: var(--page); }
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; }
p.lead { color: var(--dim); margin: 0 0 2rem; }
pre, table { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; width: 100%%; box-sizing: border-box; }
pre { padding: .9rem 1.1rem; overflow-x: auto; font: 14px/1.5 ui-monospace, monospace; }
pre b, pre i { color: var(--mark); font-style: normal; }
table { border-collapse: separate; border-spacing: 0; font-size: .9rem; table-layout: fixed; }
th, td { text-align: left; padding: .35rem .9rem; border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
tr:first-child th, tr:first-child td { border-top: 0; }
th { width: 14rem; font-weight: 500; color: var(--dim); }
@media (max-width: 36rem) { /* telephones: commands break, and a value stands below its name */
  main { padding: 1.5rem 1rem; }
  h1 { font-size: 1.6rem; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .75rem .85rem; }
  pre i { display: block; }
  table, tbody, tr, th, td { display: block; width: auto; }
  th { padding-bottom: 0; }
  td { padding-top: 0; border-top: 0; }
}
</style>
</head>
<body>
<main>
<h1>Alicorn is running</h1>
<p class="lead">This page comes from a Python worker (%(python)s, process %(pid)d), through the front. There was no application in the
folder where you started it.</p>
<h2>Serve your own</h2>
<p>Put this into <code>app.py</code>, or go to the folder of your Flask or Django project:</p>
<pre>def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello!"]</pre>
<pre><b>$</b> alicorn serve                 <i># finds wsgi.py, app.py, main.py or a Django project</i>
<b>$</b> alicorn serve shop:app        <i># or name it: MODULE:NAME</i>
<b>$</b> alicorn serve --print-config  <i># the configuration that stands for it</i></pre>
<h2>Your request</h2>
<table>%(rows)s</table>
</main>
</body>
</html>
"""

ROW = "<tr><th>%s</th><td>%s</td></tr>"


def app(environ, start_response):
    rows = "".join(
        ROW % (html.escape(key), html.escape(value))
        for key, value in sorted(environ.items())
        if isinstance(value, str)
    )
    python = "%s %d.%d.%d" % ((sys.implementation.name,) + tuple(sys.version_info[:3]))
    page = PAGE % {"python": html.escape(python), "pid": os.getpid(), "rows": rows}
    body = page.encode("utf-8", "surrogateescape")
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")])
    return [body]
