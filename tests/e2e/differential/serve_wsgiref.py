"""Serves with the standard library."""

import sys
from importlib import import_module
from wsgiref.simple_server import make_server

make_server("127.0.0.1", int(sys.argv[1]), import_module("odd_wsgi").app).serve_forever()
