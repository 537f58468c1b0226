"""``standfast serve``: the dashboard that customers read."""

from __future__ import annotations

import argparse
import ipaddress
import signal
import socket
import sys
import threading
import time
from typing import Any

from standfast.cli import options
from standfast.errors import StandfastError

_DEFAULT = "127.0.0.1:8400"
#: So many connections may wait to be accepted.
_BACKLOG = 2048
_PROGRESS_S = 2.0


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "serve",
        help="the dashboard: what a customer reads in a browser",
        description="Shows what `report` knows to people with a name and a password (see "
        "`standfast user add`). For TLS, put a proxy in front: docs/dashboard.md has an example.",
    )
    parser.add_argument(
        "--bind", type=_place, default=_place(_DEFAULT), metavar="HOST:PORT",
        help=f"where to listen (default: {_DEFAULT})",
    )  # fmt: skip
    parser.add_argument(
        "--root-path", type=_path, default="", metavar="PATH",
        help="under which path of its own host a proxy offers this, such as /standfast",
    )  # fmt: skip
    parser.add_argument(
        "--trust-proxy", type=_addresses, default=[], metavar="ADDRESS,…",
        help="proxies whose X-Forwarded-For and X-Forwarded-Proto are true",
    )  # fmt: skip
    parser.add_argument(
        "--for", type=float, dest="lasts_s", metavar="S", help="end by itself after so many seconds"
    )
    options.add_settings(parser, "store")


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is stopped."""
    import uvicorn

    from standfast.store import open_store
    from standfast.store.people import people
    from standfast.web import create_app
    from standfast.web.site import Site

    host, port = arguments.bind
    listener = _listen(host, port)
    engine = open_store(options.settings(arguments).store, create=False)
    site = Site(engine)
    _judge(site)
    app = create_app(site)
    server = _server(
        uvicorn.Config(
            app,
            root_path=arguments.root_path,
            proxy_headers=bool(arguments.trust_proxy),
            forwarded_allow_ips=arguments.trust_proxy,
            # It bounds the head of a request; and nothing here is a WebSocket.
            http="h11",
            ws="none",
            server_header=False,
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=3,
        ),
        app,
    )
    # From now on whoever comes waits: the address that is printed is never refused.
    listener.listen(_BACKLOG)
    shown = f"[{host}]" if ":" in host else host
    port = listener.getsockname()[1]
    print(f"The dashboard is at http://{shown}:{port}{arguments.root_path}/", flush=True)
    if not people(engine):
        print("Nobody may sign in yet: standfast user add NAME --app APP", flush=True)
    if (
        not ipaddress.ip_address(listener.getsockname()[0]).is_loopback
        and not arguments.trust_proxy
    ):
        print(
            "standfast: it listens beyond this machine and without TLS: passwords can be read on"
            " the way. Put a proxy with TLS in front (docs/dashboard.md).",
            file=sys.stderr,
        )
    if arguments.lasts_s is not None:
        end = threading.Timer(arguments.lasts_s, server.handle_exit, (signal.SIGTERM, None))
        end.daemon = True
        end.start()
    server.run(sockets=[listener])
    return 0


def _server(config: Any, app: Any) -> Any:
    """A server that tells the live streams to end before it waits for them."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            app.state.closing = True
            super().handle_exit(sig, frame)

    return Server(config)


def _judge(site: Any) -> None:
    """Judges all incidents before the first page is asked for, and says how far it is."""
    said_s = began_s = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal said_s
        now_s = time.monotonic()
        if now_s - said_s >= _PROGRESS_S or (done == total and said_s > began_s):
            said_s = now_s
            print(f"Judging incidents: {done:,} of {total:,}", file=sys.stderr, flush=True)

    site.judgements.refresh(progress)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is named does asyncio send each part of an answer at once; else the
    # part after the headers waits 40 ms for an acknowledgement (Nagle's algorithm).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        words = error.strerror or str(error)
        raise StandfastError(f"{host}:{port}: {words}; choose another --bind HOST:PORT") from None
    return listener


def _place(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 127.0.0.1:8400 or [::1]:8400")
    return host, int(port)


def _path(text: str) -> str:
    path = text.rstrip("/")
    if path and (not path.startswith("/") or any(one in path for one in "?#\\ ") or "//" in path):
        raise argparse.ArgumentTypeError(f"{text!r} is not a path like /standfast")
    return path


def _addresses(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        try:
            ipaddress.ip_network(word)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{word!r} is neither an address nor a network such as 10.0.0.0/8"
            ) from None
    return words
