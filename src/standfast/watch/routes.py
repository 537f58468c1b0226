"""The routes of an application: what its paths are counted under, and how many there may be.

A path has the route of its folded spelling (see ``folding``). What no spelling tells, such as the
names of articles, is learnt from the tree of paths: where a level has very many children, those
that come later are one route, with ``{name}`` in that place. What is decided follows from the
routes in the store alone, so it is the same after a restart, and a path that has a route of its own
keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from sqlalchemy import Connection, Engine, func, select, update

from standfast.store import writing
from standfast.store.tables import TEMPLATE_LIMIT, UNFINISHED, request, route

from .folding import fold, fold_numbers
from .patterns import Tree
from .patterns import template as template_of

#: What a route is called that came after an application had its number of them.
OTHER = "{other}"
NAME = b"{name}"
ROUTE_LIMIT = 2000
#: A place in the tree with so many different children is a parameter.
WIDE = 100
#: Routes above the limit for paths in which workers died: these are never ``{other}``.
FOR_CRASHES = 500
#: How many paths are remembered with their numbers, and how often (in seconds) it is looked
#: whether deaths have made a route.
_REMEMBERED = 20_000
_LONGEST_REMEMBERED = 200
_LOOK_AGAIN_S = 1.0


#: Paths that differ in their digits alone have one shape: ``path.translate(SHAPE)``.
SHAPE = bytes.maketrans(b"123456789", b"000000000")
_DIGITS = b"0123456789"
_SHAPES = 4_096


class Routes:
    """The numbers of one application's routes of one kind (http or websocket).

    ``known`` maps a folded path to its number; it grows to ``limit`` entries at most. ``shapes``
    maps shapes of paths that are no key of ``known``: asked after it, both are quicker than
    ``of``, and say the same.
    """

    def __init__(
        self, engine: Engine, application_id: int, kind: str, limit: int = ROUTE_LIMIT
    ) -> None:
        self._engine = engine
        self._application_id = application_id
        self._kind = kind
        self._limit = limit
        self._other: int | None = None
        self._newest = 0
        self._look_at = 0.0
        self._remembered: dict[bytes, int] = {}
        self._tree = _Tree()
        self._patterns = Tree()
        self.known: dict[bytes, int] = {}
        self.shapes: dict[bytes, int] = {}
        self._look()

    def of(self, path: bytes, *, found: bool = True) -> int:
        """The number of a path's route, as ``number`` says. Most paths need no more folding than
        of numbers, which is cheap."""
        known = self.known.get(path)
        if known:
            return known
        template = fold_numbers(path)
        known = self.known.get(template)
        if not known:
            return self.number(path, found=found)
        # Without digits beside its numbers, each path of the shape has this template.
        if len(template.translate(None, _DIGITS)) == len(template) <= _LONGEST_REMEMBERED:
            if len(self.shapes) >= _SHAPES:
                self.shapes.clear()
            self.shapes[path.translate(SHAPE)] = known
        return known

    def number(self, path: bytes, *, found: bool = True) -> int:
        """The number of the route that ``path``, without its query, belongs to.

        One that is new gets a row of its own at once: a route without requests does no harm.
        Where the application did not know the path either (``found`` is false), no new route is
        made: otherwise those who try doors at random would use up the number of them.
        """
        remembered = self._remembered.get(path)
        if remembered:
            return remembered
        number = self._number(self._patterns.match(path) or fold(path), found)
        if number != self._other and len(path) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[path] = number
        return number

    def _number(self, template: bytes, found: bool) -> int:
        known = self.known.get(template)
        if known:
            return known
        template = self._tree.generalised(template)
        known = self.known.get(template)
        if known:
            return known
        if not found or len(self.known) >= self._limit:
            return self._find_other(template)
        number = self._row(_text(template))
        self._learn(template, number)
        return number

    def _find_other(self, template: bytes) -> int:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_AGAIN_S
            self._look()
        if self._other is None:
            self._other = self._row(OTHER)
        return self.known.get(template, self._other)

    def _look(self) -> None:
        """Learns the routes in the store that are not known yet."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(route.c.template, route.c.id)
                .where(
                    route.c.application_id == self._application_id,
                    route.c.kind == self._kind,
                    route.c.id > self._newest,
                )
                .order_by(route.c.id)
                .limit(self._limit + FOR_CRASHES + 1)
            ).all()
        for row in rows:
            self._learn(row.template.encode(), row.id)
            self._newest = row.id

    def _learn(self, template: bytes, number: int) -> None:
        if template == OTHER.encode():
            self._other = number
            return
        self.known[template] = number
        self._tree.add(template)
        self._patterns.add(template)

    def add_pattern(self, syntax: int, pattern: str) -> None:
        """Takes in a pattern of the application's framework (see ``journal.format.BRACKETS``).

        It gets its route at once, by which it is known after a restart too.
        """
        found = template_of(syntax, pattern)
        if found is None or found.encode() in self.known:
            return
        if len(self.known) < self._limit:
            self._remembered.clear()
            self._learn(found.encode(), self._row(found))

    def _row(self, template: str) -> int:
        values = {
            "application_id": self._application_id,
            "kind": self._kind,
            "template": template,
        }
        with writing(self._engine) as connection:
            number = connection.execute(select(route.c.id).filter_by(**values)).scalar()
            if number is None:
                made = connection.execute(route.insert().values(**values))
                (number,) = made.inserted_primary_key or (0,)
            return int(number)


class _Tree:
    """The parts of known routes, and how many children each place in their tree has."""

    def __init__(self) -> None:
        self._nodes: set[bytes] = set()
        self._children: dict[bytes, int] = {}

    def add(self, template: bytes) -> None:
        """Enters a route. What varies by its spelling is no child that counts."""
        place = b""
        for part in template.split(b"/"):
            node = place + b"/" + part
            if part and node not in self._nodes:
                self._nodes.add(node)
                if not _varies(part):
                    self._children[place] = self._children.get(place, 0) + 1
            place = node

    def generalised(self, template: bytes) -> bytes:
        """The route with ``{name}`` for each part that is new in a place with many children."""
        place = b""
        parts = template.split(b"/")
        for at, part in enumerate(parts):
            new = place + b"/" + part not in self._nodes
            if new and part and not _varies(part) and self._children.get(place, 0) >= WIDE:
                parts[at] = NAME
            place += b"/" + parts[at]
        return b"/".join(parts)


def of_path(path: str, known: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The routes under which requests of a path may have been counted; ``known`` are those that
    there are, of each application by themselves.

    More than one, as routes are learnt: what came before is counted by the path's spelling.
    """
    raw = path.encode()
    folded = fold(raw)
    found = {_text(folded)}
    parts = folded.split(b"/")
    for templates in known:
        tree = Tree()
        for template in templates:
            tree.add(template.encode())
            if _fits(template.encode().split(b"/"), parts):
                found.add(template)
        if matched := tree.match(raw):
            found.add(matched.decode())
    return tuple(sorted(found))


def _fits(template: list[bytes], parts: list[bytes]) -> bool:
    """Whether a route that the tree has made is that of a path."""
    return len(template) == len(parts) and all(
        wanted == part or (wanted == NAME and part != b"" and not _varies(part))
        for wanted, part in zip(template, parts, strict=True)
    )


def _varies(part: bytes) -> bool:
    return b"{" in part or b"<" in part


def give_routes_of_their_own(connection: Connection, worker_id: int) -> None:
    """Takes the unfinished requests of a dead worker out of ``{other}``.

    Two bugs in paths that came late would otherwise become one, without a name. An application has
    FOR_CRASHES such routes above its number of them at most.
    """
    late = connection.execute(
        select(request.c.id, request.c.uri, request.c.application_id, request.c.kind)
        .join(route, route.c.id == request.c.route_id)
        .where(
            request.c.worker_id == worker_id,
            request.c.outcome == UNFINISHED,
            route.c.template == OTHER,
        )
        .limit(FOR_CRASHES)
    ).all()
    for row in late:
        template = _text(fold(row.uri.partition("?")[0].encode()))
        same = (route.c.application_id == row.application_id) & (route.c.kind == row.kind)
        number = connection.execute(
            select(route.c.id).where(same, route.c.template == template)
        ).scalar()
        if number is None:
            count = connection.execute(select(func.count()).select_from(route).where(same)).scalar()
            if (count or 0) > ROUTE_LIMIT + FOR_CRASHES:
                return
            made = connection.execute(
                route.insert().values(
                    application_id=row.application_id, kind=row.kind, template=template
                )
            )
            (number,) = made.inserted_primary_key or (None,)
        connection.execute(update(request).where(request.c.id == row.id).values(route_id=number))


def _text(template: bytes) -> str:
    return template.decode("utf-8", "backslashreplace")[:TEMPLATE_LIMIT]
