"""The servers that faults are tried on, by the name that a fault gives."""

from __future__ import annotations

from tests.e2e.servers.serving import UWSGI

_GUNICORN = "gunicorn -b 127.0.0.1:{port}"
_GTHREAD = f"{_GUNICORN} -k gthread --threads 4"
_GEVENT = f"{_GUNICORN} -k gevent"
_UWSGI = f"{UWSGI} --plugin python3 --die-on-term --master --http-socket 127.0.0.1:{{port}}"

SERVERS = {
    "sync": f"{_GUNICORN} --timeout 3 faulty:app",
    "sync, no time-out": f"{_GUNICORN} --timeout 0 faulty:app",
    "gthread": f"{_GTHREAD} --timeout 60 faulty:app",
    "gthread, short stop": f"{_GTHREAD} --timeout 5 --graceful-timeout 1 faulty:app",
    "gevent": f"{_GEVENT} --timeout 60 faulty:app",
    "gevent, short time-out": f"{_GEVENT} --timeout 3 faulty:app",
    "gevent, recycling": f"{_GEVENT} --max-requests 5 --graceful-timeout 1 faulty:app",
    "UvicornWorker": f"{_GUNICORN} -k uvicorn_worker.UvicornWorker --timeout 60 faulty_asgi:app",
    "UvicornWorker, short time-out": (
        f"{_GUNICORN} -k uvicorn_worker.UvicornWorker --timeout 3 faulty_asgi:app"
    ),
    "gunicorn asgi": f"{_GUNICORN} -k asgi --timeout 60 faulty_asgi:app",
    "uvicorn": "uvicorn --port {port} faulty_asgi:app",
    "uvicorn, two workers": "uvicorn --workers 2 --port {port} faulty_asgi:app",
    "uvicorn, WSGI": "uvicorn --interface wsgi --port {port} faulty:app",
    "hypercorn": "hypercorn -b 127.0.0.1:{port} faulty_asgi:app",
    "hypercorn, two workers": "hypercorn -w 2 -b 127.0.0.1:{port} faulty_asgi:app",
    "waitress": "waitress-serve --listen 127.0.0.1:{port} faulty:app",
    "uWSGI": f"{_UWSGI} --module faulty:app",
    "uWSGI, threads": f"{_UWSGI} --threads 4 --module faulty:app",
    "uWSGI, harakiri": f"{_UWSGI} --harakiri 3 --socket-timeout 60 --module faulty:app",
    "uWSGI, lazy": f"{_UWSGI} --lazy-apps --module faulty:app",
    "uWSGI, short mercy": f"{_UWSGI} --worker-reload-mercy 1 --module faulty:app",
}
