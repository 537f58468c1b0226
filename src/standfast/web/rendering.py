"""From what a view found to a page. Recorded texts go through filters, see
``diagnose.templates``, or through ``short``."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from standfast import __version__
from standfast.diagnose.templates import templates
from standfast.diagnose.words import harmless, moment
from standfast.store.listing import COUNTED

from .visits import Visit, form_seal


def page(visit: Visit, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page about an application."""
    shared = {
        "visit": visit,
        "selection": visit.selection,
        "url": visit.url,
        "signed_in": visit.person,
        "here": visit.request.scope["endpoint"].__name__,
    }
    return bare_page(visit.request, template, status, **shared, **context)


def bare_page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page about none."""
    root = request.scope.get("root_path", "")
    defaults = {"visit": None, "signed_in": None, "here": ""}
    shared = {"root": root, "seal": lambda: form_seal(request), "version": __version__}
    text = environment().get_template(template).render({**defaults, **shared, **context})
    return HTMLResponse(text, status)


def fragment(template: str, **context: Any) -> str:
    """A part of a page, as it is sent again when it has changed."""
    return environment().get_template(template).render(**context)


def when(ns: int | None, precise: bool = False) -> Markup:
    """A moment: in UTC, which a script turns into the reader's zone; to the second, or
    ``precise`` to the millisecond."""
    if ns is None:
        return Markup("–")
    iso = moment(ns)
    shown = f"{iso[:10]} {iso[11 : 23 if precise else 19]}"
    name = Markup(' data-precise=""') if precise else ""
    return Markup('<time datetime="{}" title="{} UTC"{}>{}</time>').format(iso, shown, name, shown)


def short(text: str, limit: int = 160) -> str:
    """One line of at most so many characters, made harmless; its middle goes."""
    shown = harmless(text[: 4 * limit])
    if len(shown) <= limit and len(text) <= 4 * limit:
        return shown
    tail = harmless(text[-limit:])[-limit // 3 :]
    return f"{shown[: limit - len(tail) - 1]}…{tail}"


def number(count: float) -> str:
    """A count with its thousands apart."""
    return f"{count:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def counted(total: int | None) -> str:
    """How many there are; of very many, that they are more than were counted."""
    return f"more than {number(COUNTED)}" if total is None else number(total)


@cache
def environment() -> Environment:
    """The templates of this package."""
    made = templates("standfast.web", "templates")
    made.filters.update(short=short, when=when, number=number)
    return made
