"""Real Flask and Django applications, and the static folders they report."""

import os

import pytest

FLASK = """
from flask import Flask, Response, request, send_file, stream_with_context
app = Flask(__name__%s)

@app.route("/", methods=["GET", "POST"])
def index():
    return {"form": request.form, "n": len(request.get_data())}

@app.route("/upload", methods=["POST"])
def upload():
    return request.files["f"].read()

@app.route("/stream")
def stream():
    return Response(str(n) for n in range(3))

@app.route("/file")
def file():
    return send_file(__file__)

@app.route("/fail")
def fail():
    1 / 0
"""

DJANGO = """
import os
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils.safestring import mark_safe

HERE = os.path.dirname(os.path.abspath(__file__))
settings.configure(
    DEBUG=%(debug)s, SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.messages", "django.contrib.staticfiles"],
    STATIC_URL=%(url)r, STATIC_ROOT=%(root)s,
    STATICFILES_DIRS=[os.path.join(HERE, "assets"), ("shop", os.path.join(HERE, "shop"))],
)

def index(request):
    response = HttpResponse(mark_safe("django " + request.method))
    response["X-Safe"] = mark_safe("<b>")
    return response

urlpatterns = [
    path("", index),
    path("stream", lambda request: StreamingHttpResponse(iter(["a", "b"]))),
    path("file", lambda request: FileResponse(open(__file__, "rb"))),
]
application = get_wsgi_application()
"""


@pytest.fixture
def flask(own, tmp_path):
    def start(arguments="", **settings):
        (tmp_path / "app.py").write_text(FLASK % arguments)
        return own("app", tmp_path, **settings)
    return start


@pytest.fixture
def django(own, tmp_path):
    def start(debug=False, url="/static/", root="None", **settings):
        (tmp_path / "site_.py").write_text(DJANGO % {"debug": debug, "url": url, "root": root})
        for folder in ("assets", "shop"):
            (tmp_path / folder).mkdir(exist_ok=True)
        return own("site_", tmp_path, report_static=True, **settings)
    return start


def test_flask_answers(flask, tmp_path):
    front = flask()
    ready = front.ready()
    assert (ready["app"], ready["framework"]) == ("app:app", "Flask")
    form = {"method": "POST", "body": b"a=1", "CONTENT_TYPE": "application/x-www-form-urlencoded"}
    assert front.answer(front.request(**form)).body.strip() == b'{"form":{"a":"1"},"n":0}'
    for spooled in (False, True):
        answer = front.answer(front.request(method="POST", body=b"x" * 5000, spooled=spooled))
        assert answer.body.strip() == b'{"form":{},"n":5000}'
    part = (b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\ndata\r\n--b--\r\n')
    answer = front.answer(front.request("/upload", "POST", part, True,
                                        CONTENT_TYPE="multipart/form-data; boundary=b"))
    assert answer.body == b"data"
    assert front.answer(front.request("/stream")).body == b"012"
    answer = front.answer(front.request("/file"))
    assert answer.body == (tmp_path / "app.py").read_bytes() and answer.complete
    assert front.answer(front.request("/fail")).status == "500 INTERNAL SERVER ERROR"
    assert front.answer(front.request("/absent")).status == "404 NOT FOUND"
    assert front.answer(front.request(method="HEAD")).body == b""


@pytest.mark.parametrize("app, resolved", [("app", "app:create_app()"), ("app:g", "app:g")])
def test_flasks_proxies_are_no_applications(own, tmp_path, app, resolved):
    (tmp_path / "app.py").write_text(
        "from flask import Flask, current_app, g, request, session\napp = current_app\n"
        "def create_app():\n    app = Flask(__name__)\n"
        "    app.add_url_rule('/', 'i', lambda: 'made')\n    return app\n")
    front = own(app, tmp_path)
    assert front.ready()["app"] == resolved
    if app == "app":
        assert front.answer(front.request("/")).body == b"made"


def test_flask_hello_is_one_frame(flask):
    front = flask()
    front.ready()
    assert front.answer(front.request("/")).kinds == "H"


@pytest.mark.parametrize("arguments, made, reported", [
    ("", ["static"], [["/static", "static"]]),
    ("", [], []),
    (", static_url_path='/s', static_folder='files'", ["files"], [["/s", "files"]]),
    (", static_url_path='', static_folder='files'", ["files"], []),
    (", static_folder=None", ["static"], []),
])
def test_flask_reports_its_static_folder(flask, tmp_path, arguments, made, reported):
    for folder in made:
        (tmp_path / folder).mkdir()
    ready = flask(arguments, report_static=True).ready()
    assert ready["static"] == [[url, str(tmp_path / folder), "plain"] for url, folder in reported]


@pytest.mark.parametrize("text, plain", [
    ("", True),
    ("@app.errorhandler(404)\ndef missing(error): return 'no', 404", True),
    ("@app.teardown_appcontext\ndef end(error): pass", True),
    ("@app.route('/<page>')\ndef page(page): return page", True),
    ("@app.route('/pages/<path:page>')\ndef page(page): return page", True),
    ("@app.route('/static/')\ndef index_of(): return ''", True),
    ("@app.before_request\ndef guard(): pass", False),
    ("@app.after_request\ndef mark(response): return response", False),
    ("@app.teardown_request\ndef count(error): pass", False),
    ("@app.url_value_preprocessor\ndef look(endpoint, values): pass", False),
    ("@app.route('/static/config.js')\ndef config(): return ''", False),
    ("@app.route('/<path:page>')\ndef page(page): return page", False),
    ("@app.route('/<language>/<page>')\ndef page(language, page): return page", False),
    ("from flask import Blueprint\nb = Blueprint('b', __name__, static_folder='files', "
     "static_url_path='/static/b')\napp.register_blueprint(b)", False),
    ("app.wsgi_app = lambda environ, start, inner=app.wsgi_app: inner(environ, start)", False),
    ("app.view_functions['static'] = lambda filename: 'mine'", False),
    ("import functools\napp.view_functions['static'] = functools.wraps("
     "app.view_functions['static'])(lambda filename: 'mine')", False),
    ("app.config['SERVER_NAME'] = 'example.com'", False),
    ("app.config['SEND_FILE_MAX_AGE_DEFAULT'] = 60", False),
    ("from flask import request_started\ndef see(sender): pass\nrequest_started.connect(see)",
     False),
    ("class Mine(Flask):\n    def send_static_file(self, name): return name\n"
     "app = Mine(__name__)", False),
    ("class Mine(Flask):\n    def __init__(self): super().__init__(__name__)\napp = Mine()", True),
    ("inner = app\ndef app(environ, start_response): return inner(environ, start_response)",
     False),
])
def test_flask_reports_only_what_nothing_of_it_could_answer(own, tmp_path, text, plain):
    (tmp_path / "static").mkdir()
    (tmp_path / "app.py").write_text(FLASK % "" + text + "\n")
    reported = own("app", tmp_path, report_static=True).ready()["static"]
    assert reported == ([["/static", str(tmp_path / "static"), "plain"]] if plain else [])


def test_static_folders_are_reported_on_request_only(flask, tmp_path):
    (tmp_path / "static").mkdir()
    assert flask().ready()["static"] == []


def test_django_answers(django, tmp_path):
    front = django()
    ready = front.ready()
    assert (ready["app"], ready["framework"]) == ("site_:application", "Django")
    answer = front.answer(front.request("/"))
    assert (answer.body, answer.header("X-Safe")) == (b"django GET", "<b>")
    assert front.answer(front.request("/stream")).body == b"ab"
    answer = front.answer(front.request("/file"))
    assert answer.body == (tmp_path / "site_.py").read_bytes()
    assert answer.file_length == len(answer.body)
    assert front.answer(front.request("/absent")).status == "404 Not Found"


@pytest.mark.parametrize("change, message", [
    (("from django.urls import path", "from django.urls import include, path"), None),
    (('path("", index),', 'path("", __import__("nosuchview").index),'), "nosuchview"),
    (('path("", index),', 'path("", include("broken")),'), "nosuchmodule"),
    (('path("", index),', 'path("", include("syntax")),'), "SyntaxError"),
    (('path("", index),', '"not a path",'), "URL configuration"),
    (("ROOT_URLCONF=__name__", "ROOT_URLCONF='absent'"), "absent"),
])
def test_django_is_ready_with_its_urls(django, own, tmp_path, change, message):
    django().ready()
    text = (tmp_path / "site_.py").read_text().replace("import path", "import include, path", 1)
    (tmp_path / "site_.py").write_text(text.replace(*change))
    (tmp_path / "broken.py").write_text("import nosuchmodule\n")
    (tmp_path / "syntax.py").write_text("def\n")
    kind, value = own("site_", tmp_path).boot()
    if message is None:
        assert kind == "K", value
    else:
        assert kind == "F"
        assert message in value["message"] + value["traceback"]


def test_django_tells_what_its_checks_find(django, own, tmp_path):
    front = django()
    front.ready()
    assert any("admin.E403" in text for level, text in
               (frame.value for frame in front.early if frame.kind == "L"))


def test_django_reports_a_collected_root(django, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.css").write_text("")
    ready = django(root="os.path.join(HERE, 'root')").ready()
    assert (ready["static"], ready["notes"]) == ([["/static/", str(tmp_path / "root"), "plain"]],
                                                  [])


@pytest.mark.parametrize("root, made, note", [
    ("os.path.join(HERE, 'root')", True, "is empty: run manage.py collectstatic"),
    ("os.path.join(HERE, 'root')", False, "does not exist: run manage.py collectstatic"),
    ("None", False, "STATIC_ROOT is not set: set it and run manage.py collectstatic"),
])
def test_django_says_when_nothing_is_collected(django, tmp_path, root, made, note):
    if made:
        (tmp_path / "root").mkdir()
    ready = django(root=root).ready()
    assert ready["static"] == [] and len(ready["notes"]) == 1 and note in ready["notes"][0]


def test_django_in_debug_reports_the_finders(django, tmp_path):
    ready = django(debug=True).ready()
    served = ready["static"]
    assert served[0] == ["/static/", str(tmp_path / "assets"), "plain"]
    assert served[1] == ["/static/shop/", str(tmp_path / "shop"), "plain"]
    folders = [directory for url, directory, how in served[2:] if url == "/static/"]
    assert [folder for folder in folders if os.path.isfile(os.path.join(folder, "admin/css/base.css"))] != [], folders
    assert ready["notes"] == []


def test_django_static_elsewhere_is_not_ours(django):
    ready = django(debug=True, url="https://cdn.example.com/static/").ready()
    assert (ready["static"], ready["notes"]) == ([], [])


@pytest.mark.parametrize("change, how, note", [
    (("", ""), "plain", None),
    (('ALLOWED_HOSTS=["*"],', 'ALLOWED_HOSTS=["*"], SECURE_SSL_REDIRECT=True,'), "asked", None),
    (('ALLOWED_HOSTS=["*"],', 'ALLOWED_HOSTS=["*"], MIDDLEWARE=["site_.Guard"],'), "asked", None),
    (("application = get_wsgi_application()",
      "inner = get_wsgi_application()\ndef application(environ, start_response):\n"
      "    return inner(environ, start_response)"), "asked", None),
    (('path("", index),', 'path("", index), path("static/a.css", index),'), None, "site_.index"),
    (('path("", index),', 'path("", index), path("<path:page>", index),'), None, "site_.index"),
    (('path("", index),', 'path("", index), path("static/shop/real.txt", index),'), None,
     "site_.index"),
    (('path("", index),', 'path("", index), path("other/<path:page>", index),'), "plain", None),
])
def test_django_is_asked_where_it_could_answer(own, tmp_path, change, how, note):
    text = DJANGO % {"debug": False, "url": "/static/", "root": "os.path.join(HERE, 'root')"}
    assert change[0] in text
    text = text.replace("def index(request)", "class Guard:\n    def __init__(self, answer):\n"
                        "        self.answer = answer\n\n    def __call__(self, request):\n"
                        "        return self.answer(request)\n\ndef index(request)")
    (tmp_path / "site_.py").write_text(text.replace(*change))
    for folder in ("assets", "shop", "root/shop"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "root/shop/real.txt").write_text("")
    ready = own("site_", tmp_path, report_static=True).ready()
    assert ready["static"] == ([["/static/", str(tmp_path / "root"), how]] if how else [])
    assert len(ready["notes"]) == bool(note) and (not note or note in ready["notes"][0])
