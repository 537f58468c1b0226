"""``standfast user``: who may sign in to the dashboard, and what each sees."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from typing import TYPE_CHECKING

from standfast.cli import options
from standfast.cli.tables import Column, harmless, print_table
from standfast.errors import StandfastError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from standfast.store.people import Person

#: More than any password that is allowed.
_LINE_BYTES = 16 * 1024


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "user",
        help="say who may look at the dashboard",
        description="Says who may sign in to the dashboard (`standfast serve`), and which "
        "applications each sees.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for name, text in (
        ("add", "let someone in"),
        ("list", "show who may sign in"),
        ("access", "change which applications someone sees"),
        ("password", "give someone a new password; ends all their sessions"),
        ("remove", "let someone in no longer; ends sessions and share links"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        if name == "list":
            action.add_argument("--json", action="store_true", help="for programs")
        else:
            action.add_argument("name", metavar="NAME")
        if name in ("add", "access"):
            action.add_argument(
                "--app",
                action="append",
                default=[],
                dest="apps",
                metavar="APP",
                help="an application to see; give it again for more",
            )
            action.add_argument("--admin", action="store_true", help="sees all applications")
        if name in ("add", "password"):
            action.add_argument(
                "--generate", action="store_true", help="make up a password and show it once"
            )
        options.add_settings(action, "store")


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked."""
    from sqlalchemy.exc import DBAPIError

    from standfast.store import open_store

    if arguments.action in ("add", "access") and not (arguments.apps or arguments.admin):
        raise UsageError(
            f"Say what {harmless(arguments.name)} may see: --app APP (again for more), or --admin"
            " for all applications"
        )
    store = options.settings(arguments).store
    do = {
        "add": _add,
        "list": _list,
        "access": _access,
        "password": _password,
        "remove": _remove,
    }[arguments.action]
    try:
        do(open_store(store, create=arguments.action == "add"), arguments)
    except DBAPIError as error:
        raise StandfastError(
            f"the store did not do it: {error.orig}; a user is needed who may write to it, and"
            " nobody else who holds it locked"
        ) from None
    return 0


def _add(engine: Engine, arguments: argparse.Namespace) -> None:
    from standfast.store import people

    name = arguments.name
    people.check_new_name(engine, name)
    password = _new_password(name, generate=arguments.generate)
    _say(engine, people.add_person(engine, name, password, arguments.apps, arguments.admin))
    _show(password, arguments)


def _access(engine: Engine, arguments: argparse.Namespace) -> None:
    from standfast.store import people

    _say(engine, people.set_access(engine, arguments.name, arguments.apps, arguments.admin))


def _password(engine: Engine, arguments: argparse.Namespace) -> None:
    from standfast.store import people

    name = people.find_person(engine, arguments.name).name
    password = _new_password(name, generate=arguments.generate)
    people.set_password(engine, name, password)
    _tell(f"{name} has a new password, and is signed out everywhere.")
    _show(password, arguments)


def _remove(engine: Engine, arguments: argparse.Namespace) -> None:
    from standfast.store import people

    people.remove_person(engine, arguments.name)
    _tell(f"{arguments.name} may sign in no longer.")


def _list(engine: Engine, arguments: argparse.Namespace) -> None:
    from standfast.store import people

    found = people.people(engine)
    if arguments.json:
        shapes = [{"name": one.name, "admin": one.admin, "apps": list(one.apps)} for one in found]
        print(json.dumps(shapes, indent=2))
    elif not found:
        print("Nobody may sign in yet: standfast user add NAME --app APP")
    else:
        columns = [Column("name"), Column("admin"), Column("sees", flexible=True)]
        print_table(
            columns, [[one.name, "yes" if one.admin else "no", _sight(one)] for one in found]
        )


def _new_password(name: str, *, generate: bool) -> str:
    """A password that ``name`` may have, made up, asked for, or from a line of stdin."""
    from standfast.store import people

    if generate:
        return people.generate_password()
    if sys.stdin is not None and sys.stdin.isatty():
        return _asked(name)
    password = _from_line()
    people.check_password(name, password)
    return password


def _asked(name: str) -> str:
    from standfast.store import people

    try:
        while True:
            password = getpass.getpass(f"Password for {name}: ")
            try:
                people.check_password(name, password)
            except StandfastError as error:
                _tell(str(error))
                continue
            if getpass.getpass("The same again: ") == password:
                return password
            _tell("That was not the same. Once more:")
    except EOFError:
        raise UsageError("No password was given.") from None


def _from_line() -> str:
    line = b"" if sys.stdin is None else sys.stdin.buffer.readline(_LINE_BYTES)
    if not line:
        raise UsageError(
            "No password was given: type it at a terminal, give it as one line on standard input,"
            " or let --generate make one up"
        )
    try:
        return line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise StandfastError("The password on standard input is not valid UTF-8 text.") from None


def _say(engine: Engine, person: Person) -> None:
    """Says what somebody sees now; an application that is not known may be a slip."""
    from standfast.store.queries import applications

    known = [name for _, name in applications(engine)]
    for app in person.apps:
        if app not in known:
            others = ", ".join(map(harmless, known)) or "none yet"
            _tell(
                f"warning: the store has no application {harmless(app)}, though it may come;"
                f" it has: {others}"
            )
    _tell(f"{person.name} may sign in and sees {harmless(_sight(person))}.")


def _sight(person: Person) -> str:
    if person.admin:
        return "all applications"
    return ", ".join(person.apps) or "no application"


def _show(password: str, arguments: argparse.Namespace) -> None:
    if arguments.generate:
        _tell("The password, which is shown this once:")
        print(password)


def _tell(words: str) -> None:
    print(f"standfast user: {words}", file=sys.stderr, flush=True)
