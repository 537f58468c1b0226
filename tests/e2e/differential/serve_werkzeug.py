"""Serves with werkzeug, in threads."""

import sys
from importlib import import_module

from werkzeug.serving import run_simple

run_simple("127.0.0.1", int(sys.argv[1]), import_module("odd_wsgi").app, threaded=True)
