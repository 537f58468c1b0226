"""``standfast user`` as it is typed: pipes, a real terminal, and no password anywhere it shows."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standfast.store import open_store, people, writing
from standfast.store.tables import application
from tests.unit.store.people_store import new_store

STANDFAST = (sys.executable, "-m", "standfast")
PASSWORD = "correct horse battery"
OTHER = "another good password"


class Command:
    """Runs ``standfast user`` on a store in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "store.db"
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith("STANDFAST")
        }

    def words(self, *words: str) -> list[str]:
        """The whole command line, for this store."""
        return [*STANDFAST, "user", *words, "--store", str(self.path)]

    def __call__(self, *words: str, line: str | bytes = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.words(*words),
            input=line if isinstance(line, bytes) else line.encode(),
            capture_output=True,
            cwd=self.folder,
            env=self.environ,
            timeout=60,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def lets_in(self, name: str, password: str) -> bool:
        """Whether this name and password are right."""
        engine = open_store(str(self.path))
        return people.sign_in(engine, name, password, "", time.time_ns()).person is not None

    def names(self) -> list[str]:
        """Who may sign in."""
        return [one.name for one in people.people(open_store(str(self.path)))]


@pytest.fixture
def user(tmp_path: Path) -> Command:
    with writing(new_store(tmp_path)) as connection:
        connection.execute(application.insert(), [{"name": "blog"}, {"name": "shop"}])
    return Command(tmp_path)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nwhat follows is not read\n"])
def test_a_password_is_one_line_of_standard_input(user: Command, end: str) -> None:
    done = user("add", "ann", "--app", "shop", line=PASSWORD + end)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "standfast user: ann may sign in and sees shop.\n"
    assert user.lets_in("ann", PASSWORD)
    (ann,) = people.people(open_store(str(user.path)))
    assert (ann.apps, ann.admin) == (("shop",), False)


def test_a_store_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    user = Command(tmp_path)
    user.path = tmp_path / "deep" / "store.db"
    assert user("add", "ann", "--admin", line=PASSWORD).returncode == 0
    assert user.path.stat().st_mode & 0o777 == 0o600
    assert user.lets_in("ann", PASSWORD)


def test_only_letting_someone_in_makes_a_store(tmp_path: Path) -> None:
    user = Command(tmp_path)
    for words in (["list"], ["remove", "ann"], ["password", "ann"], ["access", "ann", "--admin"]):
        done = user(*words, line=PASSWORD)
        assert (done.returncode, done.stdout) == (1, "")
        assert "not there yet" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_generated_password_is_shown_once_and_lets_in(user: Command) -> None:
    done = user("add", "ann", "--app", "shop", "--app", "blog", "--generate")
    password = done.stdout.removesuffix("\n")
    assert len(password) >= 20
    assert password not in done.stderr
    assert user.lets_in("ann", password)
    renewed = user("password", "ann", "--generate").stdout.removesuffix("\n")
    assert renewed != password
    assert user.lets_in("ann", renewed)
    assert not user.lets_in("ann", password)


@pytest.mark.parametrize("action", ["add", "access"])
def test_without_anything_to_see_it_is_wrong_use(user: Command, action: str) -> None:
    user("add", "bob", "--app", "shop", line=PASSWORD)
    done = user(action, "bob" if action == "access" else "ann", line=PASSWORD)
    assert done.returncode == 2
    assert "--app" in done.stderr
    assert "--admin" in done.stderr
    assert user.names() == ["bob"]


def test_an_application_that_is_not_known_is_taken_with_a_warning(user: Command) -> None:
    done = user("add", "ann", "--app", "shop", "--app", "shp", line=PASSWORD)
    assert done.returncode == 0
    assert "warning: the store has no application shp" in done.stderr
    assert "it has: blog, shop" in done.stderr
    assert "application shop" not in done.stderr
    done = user("access", "ann", "--app", "shop")
    assert (done.returncode, done.stderr) == (
        0,
        "standfast user: ann may sign in and sees shop.\n",
    )


def test_the_application_of_the_environment_is_nobodys_right(user: Command) -> None:
    user.environ["STANDFAST_APP"] = "bank"
    assert user("add", "ann", line=PASSWORD).returncode == 2
    assert user("add", "ann", "--app", "shop", line=PASSWORD).returncode == 0
    assert people.people(open_store(str(user.path)))[0].apps == ("shop",)


def test_the_list_is_for_people_and_for_programs(user: Command) -> None:
    assert "Nobody may sign in yet" in user("list").stdout
    assert json.loads(user("list", "--json").stdout) == []
    user("add", "Bob", "--admin", line=PASSWORD)
    user("add", "ann", "--app", "shop", "--app", "blog", line=PASSWORD)
    done = user("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [
        {"name": "ann", "admin": False, "apps": ["blog", "shop"]},
        {"name": "Bob", "admin": True, "apps": []},
    ]
    lines = [line.split(maxsplit=2) for line in user("list").stdout.splitlines()]
    assert lines[1:] == [["ann", "no", "blog, shop"], ["Bob", "yes", "all applications"]]


def test_access_password_and_removal_take_effect(user: Command) -> None:
    user("add", "Ann", "--app", "shop", line=PASSWORD)
    engine = open_store(str(user.path))
    token = people.open_session(engine, people.find_person(engine, "ann").id, time.time_ns())
    assert user("access", "ann", "--admin").returncode == 0
    seen = people.session_person(engine, token, time.time_ns())
    assert seen is not None and seen.admin
    assert user("password", "ann", line=OTHER).returncode == 0
    assert people.session_person(engine, token, time.time_ns()) is None
    assert user.lets_in("ann", OTHER)
    assert user("remove", "ANN").returncode == 0
    assert user.names() == []


@pytest.mark.parametrize(
    ("words", "line", "said"),
    [
        (["add", "ann", "--admin"], "", "No password was given"),
        (["add", "ann", "--admin"], "\n", "too short: 0 characters"),
        (["add", "ann", "--admin"], "short\n", "too short: 5 characters, and 12 are needed"),
        (["add", "ann", "--admin"], "x" * 100_000, "too long"),
        (["add", "ann", "--admin"], b"\xff" * 20, "not valid UTF-8"),
        (["add", "a b", "--admin"], PASSWORD, "'a b' is not allowed as a name"),
        (["add", "\x1b[2J", "--admin"], PASSWORD, "'\\x1b[2J' is not allowed as a name"),
        (["add", "\udcff", "--admin"], PASSWORD, "'\\udcff' is not allowed as a name"),
        (["add", "ann", "--app", ""], PASSWORD, "not the name of an application"),
        (["add", "ann", "--app", "\udcff"], PASSWORD, "not the name of an application"),
        (["add", "BOB", "--admin"], PASSWORD, "There is a BOB already"),
        (["access", "eve", "--admin"], "", "Nobody is called 'eve'"),
        (["password", "eve"], PASSWORD, "Nobody is called 'eve'"),
        (["remove", "eve"], "", "Nobody is called 'eve'"),
        (["remove", "\x1b[2J"], "", "Nobody is called '\\x1b[2J'"),
        (["fire", "bob"], "", "invalid choice: 'fire'"),
        ([], "", "ACTION"),
    ],
)
def test_what_is_wrong_is_said_in_words(
    user: Command, words: list[str], line: str | bytes, said: str
) -> None:
    people.add_person(open_store(str(user.path)), "bob", OTHER, ["shop"], admin=False)
    done = user(*words, line=line)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert said in done.stderr
    assert user.names() == ["bob"]


def test_without_standard_input_no_password_was_given(user: Command) -> None:
    closed = ["sh", "-c", '"$@" <&-', "sh", *user.words("add", "ann", "--admin")]
    done = subprocess.run(closed, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "No password was given" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_somebody_holds_is_named_in_words(user: Command) -> None:
    with sqlite3.connect(user.path, isolation_level=None) as watcher:
        watcher.execute("BEGIN IMMEDIATE")
        done = user("add", "ann", "--admin", line=PASSWORD)
        watcher.execute("ROLLBACK")
    watcher.close()
    assert done.returncode == 1
    assert "locked" in done.stderr


def test_no_option_takes_a_password(user: Command) -> None:
    for words in (["add", "ann", "--admin"], ["password", "bob"]):
        for option in (["--password", PASSWORD], [PASSWORD]):
            assert user(*words, *option, line=OTHER).returncode == 2
    assert user.names() == []


class Terminal:
    """A command at a terminal, with somebody who types."""

    def __init__(self, pid: int, screen: int) -> None:
        self.pid = pid
        self.screen = screen
        self.shown = ""
        self._read = 0
        self.status: int | None = None

    def expect(self, words: str) -> None:
        """Waits until ``words`` are shown, after what was expected before."""
        end = time.monotonic() + 30
        while (at := self.shown.find(words, self._read)) < 0:
            assert self._more(end - time.monotonic()), f"{words!r} was not shown: {self.shown!r}"
        self._read = at + len(words)

    def type(self, line: str) -> None:
        """Types a line, or a control character."""
        os.write(self.screen, line.encode())

    def end(self) -> int:
        """The exit status, when all was shown."""
        end = time.monotonic() + 30
        while self._more(end - time.monotonic()):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def _more(self, wait_s: float) -> bool:
        # Not select(2), which knows no descriptor above 1023.
        shown = select.poll()
        shown.register(self.screen, select.POLLIN)
        if not shown.poll(max(wait_s, 0) * 1000):
            return False
        try:
            data = os.read(self.screen, 65536)
        except OSError:  # the other side has gone
            return False
        self.shown += data.decode()
        return bool(data)


@contextmanager
def at_terminal(user: Command, *words: str) -> Iterator[Terminal]:
    """Runs the command with a terminal of its own."""
    pid, screen = pty.fork()
    if pid == 0:
        # As it is at a terminal: what runs the tests in the background has it ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execve(sys.executable, user.words(*words), user.environ)
    terminal = Terminal(pid, screen)
    try:
        yield terminal
    finally:
        if terminal.status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(screen)


def test_at_a_terminal_the_password_is_asked_for_twice_and_not_shown(user: Command) -> None:
    with at_terminal(user, "add", "ann", "--app", "shop") as terminal:
        terminal.expect("Password for ann: ")
        terminal.type(f"{PASSWORD}\n")
        terminal.expect("The same again: ")
        # Meanwhile no list of processes shows it either.
        assert PASSWORD not in Path(f"/proc/{terminal.pid}/cmdline").read_text()
        assert PASSWORD not in Path(f"/proc/{terminal.pid}/environ").read_text()
        terminal.type(f"{PASSWORD}\n")
        terminal.expect("ann may sign in and sees shop.")
        assert terminal.end() == 0
        assert PASSWORD not in terminal.shown
    assert user.lets_in("ann", PASSWORD)


def test_a_slip_or_a_weak_password_is_asked_for_again(user: Command) -> None:
    user("add", "ann", "--app", "shop", line=PASSWORD)
    with at_terminal(user, "password", "ann") as terminal:
        for typed, words in (("short", "too short"), ("x" * 1025, "too long")):
            terminal.expect("Password for ann: ")
            terminal.type(f"{typed}\n")
            terminal.expect(words)
        terminal.expect("Password for ann: ")
        terminal.type(f"{OTHER}\n")
        terminal.expect("The same again: ")
        terminal.type(f"{OTHER}!\n")
        terminal.expect("not the same")
        assert not user.lets_in("ann", OTHER)
        for prompt in ("Password for ann: ", "The same again: "):
            terminal.expect(prompt)
            terminal.type(f"{OTHER}\n")
        terminal.expect("ann has a new password")
        assert terminal.end() == 0
        assert OTHER not in terminal.shown
    assert user.lets_in("ann", OTHER)


@pytest.mark.parametrize(("key", "status"), [("\x03", 130), ("\x04", 2)])
def test_who_gives_up_at_the_prompt_changes_nothing(user: Command, key: str, status: int) -> None:
    with at_terminal(user, "add", "ann", "--admin") as terminal:
        terminal.expect("Password for ann: ")
        terminal.type(key)
        assert terminal.end() == status
        assert "Traceback" not in terminal.shown
    assert user.names() == []


def test_nobody_is_asked_for_a_password_in_vain(user: Command) -> None:
    user("add", "ann", "--app", "shop", line=PASSWORD)
    for words, said in (
        (["add", "Ann", "--admin"], "There is a Ann already"),
        (["add", "a b", "--admin"], "not allowed"),
        (["password", "eve"], "Nobody is called"),
        (["add", "bob", "--admin", "--generate"], "shown this once"),
    ):
        with at_terminal(user, *words) as terminal:
            terminal.expect(said)
            terminal.end()
            assert "Password for" not in terminal.shown
