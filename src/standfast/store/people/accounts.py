"""Accounts: who may sign in, and which applications each sees."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.exc import IntegrityError

from standfast.errors import StandfastError
from standfast.store.opening import writing
from standfast.store.people_tables import PERSON_LIMIT, person, person_app, session, share
from standfast.store.tables import NAME_LIMIT

from . import passwords

_NAME = re.compile(rf"[A-Za-z0-9._@+-]{{1,{PERSON_LIMIT}}}")


@dataclass(frozen=True)
class Person:
    """Someone who may sign in. ``apps`` are the applications given by name, in their order."""

    id: int
    name: str
    admin: bool
    apps: tuple[str, ...]

    def may_see(self, app: str) -> bool:
        """Whether the application's pages are for this person."""
        return self.admin or app in self.apps


def check_new_name(engine: Engine, name: str) -> None:
    """Raises StandfastError where nobody may be called so, or somebody is."""
    _check_name(name)
    with engine.connect() as connection:
        if _number(connection, name) is not None:
            raise _taken(name)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise StandfastError(
            f"{name[:80]!a} is not allowed as a name: take 1 to {PERSON_LIMIT} of the letters"
            " a to z, digits, and . _ - @ +"
        )


def folded(name: str) -> str | None:
    """The name as it is compared; None where nobody can be called so."""
    return name.lower() if _NAME.fullmatch(name) else None


def add_person(
    engine: Engine, name: str, password: str, apps: Sequence[str], admin: bool
) -> Person:
    """Lets someone in. Raises StandfastError: name taken or not allowed, weak password."""
    _check_name(name)
    passwords.check_password(name, password)
    wanted = _checked(apps)
    row = {
        "name": name,
        "folded": name.lower(),
        "admin": admin,
        "password_hash": passwords.hash_of(password),
    }
    try:
        with writing(engine) as connection:
            connection.execute(person.insert().values(row))
            number = _find(connection, name).id
            _give(connection, number, wanted)
    except IntegrityError:
        raise _taken(name) from None
    return Person(number, name, admin, wanted)


def set_password(engine: Engine, name: str, password: str) -> None:
    """A new password, and an end to all sessions. Raises StandfastError as add_person does."""
    passwords.check_password(name, password)
    password_hash = passwords.hash_of(password)
    with writing(engine) as connection:
        number = _find(connection, name).id
        connection.execute(
            update(person).where(person.c.id == number).values(password_hash=password_hash)
        )
        connection.execute(delete(session).where(session.c.person_id == number))


def set_access(engine: Engine, name: str, apps: Sequence[str], admin: bool) -> Person:
    """These applications and no others; links to what is out of sight now are withdrawn.

    Raises StandfastError where nobody is called so.
    """
    wanted = _checked(apps)
    with writing(engine) as connection:
        found = _find(connection, name)
        connection.execute(update(person).where(person.c.id == found.id).values(admin=admin))
        connection.execute(delete(person_app).where(person_app.c.person_id == found.id))
        _give(connection, found.id, wanted)
        if not admin:
            connection.execute(
                delete(share).where(share.c.person_id == found.id, share.c.app.not_in(wanted))
            )
    return Person(found.id, found.name, admin, wanted)


def remove_person(engine: Engine, name: str) -> None:
    """Sessions and share links go too. Raises StandfastError where nobody is called so."""
    with writing(engine) as connection:
        connection.execute(delete(person).where(person.c.id == _find(connection, name).id))


def find_person(engine: Engine, name: str) -> Person:
    """The person of this name. Raises StandfastError where nobody is called so."""
    with engine.connect() as connection:
        return _find(connection, name)


def people(engine: Engine) -> list[Person]:
    """Everybody who may sign in, by name."""
    with engine.connect() as connection:
        rows = connection.execute(select(person).order_by(person.c.folded)).all()
        apps = connection.execute(select(person_app)).all()
    by_person: dict[int, list[str]] = {row.id: [] for row in rows}
    for one in apps:
        if one.person_id in by_person:  # else added in between
            by_person[one.person_id].append(one.app)
    return [Person(row.id, row.name, row.admin, _ordered(by_person[row.id])) for row in rows]


def person_by_id(connection: Connection, number: int) -> Person | None:
    """The person with this number; None where there is none."""
    row = connection.execute(select(person).where(person.c.id == number)).first()
    if row is None:
        return None
    apps = select(person_app.c.app).where(person_app.c.person_id == number)
    return Person(row.id, row.name, row.admin, _ordered(connection.execute(apps).scalars()))


def _number(connection: Connection, name: str) -> int | None:
    wanted = select(person.c.id).where(person.c.folded == folded(name))
    return connection.execute(wanted).scalar()


def _find(connection: Connection, name: str) -> Person:
    number = _number(connection, name)
    found = None if number is None else person_by_id(connection, number)
    if found is None:
        raise StandfastError(f"Nobody is called {name[:80]!a}: `standfast user list` shows who is")
    return found


def _taken(name: str) -> StandfastError:
    return StandfastError(
        f"There is a {name} already: take another name, or change this one with"
        " `standfast user access` or `standfast user password`"
    )


def _give(connection: Connection, number: int, apps: Iterable[str]) -> None:
    rows = [{"person_id": number, "app": app} for app in apps]
    if rows:
        connection.execute(person_app.insert(), rows)


def _checked(apps: Iterable[str]) -> tuple[str, ...]:
    wanted = _ordered(apps)
    for app in wanted:
        if not 0 < len(app) <= NAME_LIMIT or not app.isprintable():
            raise StandfastError(f"{app[:80]!a} is not the name of an application")
    return wanted


def _ordered(apps: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(apps)))
