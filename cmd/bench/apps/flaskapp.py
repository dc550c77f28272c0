"""The Flask application of the benchmarks."""

from flask import Flask, jsonify

app = Flask(__name__)


@app.route("/")
def hello():
    return "Hello, World!"


@app.route("/json")
def json():
    return jsonify(message="Hello, World!")
