"""A Flask application that tells what it was asked, for Gunicorn."""
from flask import Flask, Response, jsonify, redirect, request
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)
METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']


@app.route('/go')
def go():
    return redirect('/elsewhere')


@app.route('/stream')
def stream():
    return Response((f'line {i}\n' for i in range(5)), mimetype='text/plain')


@app.route('/fail')
def fail():
    return 'on purpose', 500


@app.route('/', methods=METHODS)
@app.route('/<path:rest>', methods=METHODS)
def tell(rest=''):
    return jsonify(method=request.method, url=request.environ['RAW_URI'], path=request.path, host=request.host,
                   address=request.remote_addr, scheme=request.scheme, length=len(request.get_data()),
                   headers=sorted((k, v) for k, v in request.headers.items()))
