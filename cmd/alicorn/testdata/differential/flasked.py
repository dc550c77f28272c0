"""Routes of the kinds that Flask's applications have, with a static folder of its own."""

from flask import Flask, Response, abort, redirect, request

from plain import seen

app = Flask(__name__)


@app.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
@app.route("/echo/<path:path>", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
def echo(path):
    return Response(seen(request.environ, request.get_data()), content_type="application/json", headers={"X-App": "flask", "X-Path": ascii(path)})


@app.route("/slashed/")
def slashed():
    return "slashed"


@app.route("/a/<int:number>")
def number(number):
    return str(number)


@app.route("/away")
def away():
    return redirect("/echo/there?x=1", 307)


@app.route("/denied")
def denied():
    abort(403)


@app.errorhandler(404)
def missing(error):
    return "no %s" % request.path.encode("utf-8", "replace"), 404, {"X-App": "flask"}
