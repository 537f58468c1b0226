"""The engine on real servers: what it sees, what it does, and that nobody is ever locked out."""

from __future__ import annotations

import base64
import dataclasses
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.cluster.engine import Change, EngineError, PyinfraEngine, session
from standfast.cluster.remote import Login, OtherHostKey, Remote, RemoteError
from standfast.cluster.steps import (
    Absent,
    Command,
    Directory,
    File,
    Guarded,
    KeyPair,
    Packages,
    Step,
    Unit,
    User,
)
from standfast.lab import Lab

from .conftest import Admin

pytestmark = pytest.mark.lab

SECRET = "correct-horse-battery-staple"  # noqa: S105 - what the tests look for
WHY = "the test wants it"
STEPS: tuple[Step, ...] = (
    Packages(("sl",), WHY),
    User("bob", "/home/bob", WHY, groups=("adm",)),
    Directory("/srv/things", WHY, "bob", "bob", 0o750),
    KeyPair("bob", "/home/bob/pair", WHY),
    File("/srv/things/plain", "one\ntwo\n", WHY, "bob", "bob", 0o640),
    File("/srv/things/secret", f"{SECRET}\n", WHY, mode=0o600, secret=True),
    File(
        "/etc/systemd/system/standfast-test.service",
        "[Service]\nExecStart=sleep infinity\nExecReload=touch /srv/reloaded\n"
        "[Install]\nWantedBy=multi-user.target\n",
        WHY,
    ),
    File("/etc/standfast-test.conf", "a\n", WHY, tells="standfast-test", reload=True),
    Unit("standfast-test", WHY),
    Absent("/etc/motd", WHY),
    Absent("/usr/games/sl", WHY, brought_by="sl"),
    Command("a mark", "test -e /srv/mark", "touch /srv/mark", WHY),
)


@pytest.fixture(scope="module")
def login(lab: Lab, admin: Admin) -> Iterator[Login]:
    """As root of the first server, whose key is known; it is made new afterwards."""
    known_hosts = admin.key.parent / "engine_hosts"
    address = lab.plan.servers[0].address
    keys = subprocess.run(
        ["ssh-keyscan", "-T", "5", address], capture_output=True, text=True, check=True
    ).stdout
    ported = keys.replace(f"{address} ", f"[{address}]:2222 ")
    known_hosts.write_text(keys + ported)
    yield Login("one", address, 22, "root", known_hosts, admin.key)
    lab.restore("one")


@pytest.fixture
def engine(login: Login) -> Iterator[PyinfraEngine]:
    """An engine at work on that server."""
    opened = PyinfraEngine(login, login)
    yield opened
    opened.close()


def apply(engine: PyinfraEngine, *steps: Step) -> list[Change]:
    return engine.carry_out(steps, lambda change: None)


def answer(login: Login, script: str) -> str:
    return Remote(login).run(script, kept=False)


def test_a_plan_changes_nothing_and_apply_does_it_once(
    engine: PyinfraEngine, login: Login, capfd: pytest.CaptureFixture[str]
) -> None:
    before = answer(login, "find /etc /srv /home -xdev -newer /proc/1 | sort; dpkg -l | wc -l")
    planned = engine.look(STEPS)
    assert len(planned) == len(STEPS)
    after = answer(login, "find /etc /srv /home -xdev -newer /proc/1 | sort; dpkg -l | wc -l")
    assert after == before

    by_title = {change.title: change for change in planned}
    plain = next(each for title, each in by_title.items() if "/srv/things/plain" in title)
    assert plain.diff is not None and "+one\n+two" in plain.diff

    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(answer(login, "ps axww -o args; ls -l /tmp /srv/things 2>/dev/null; true"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        made = apply(engine, *STEPS)
    finally:
        done.set()
        watcher.join()
    assert len(made) == len(STEPS)
    assert not any(SECRET in each for each in seen)
    assert engine.look(STEPS) == []
    assert apply(engine, *STEPS) == []
    assert SECRET not in repr(planned) + repr(made)
    assert capfd.readouterr() == ("", "")

    found = answer(
        login,
        "stat -c '%U %G %a' /srv/things /srv/things/plain /srv/things/secret /home/bob/pair;"
        " id -nG bob; systemctl is-active standfast-test; systemctl is-enabled standfast-test;"
        " dpkg-query -W -f '${db:Status-Status}\n' sl; cat /srv/things/secret",
    )
    assert found.splitlines() == [
        "bob bob 750", "bob bob 640", "root root 600", "bob bob 600",
        "bob adm", "active", "enabled", "installed", SECRET,
    ]  # fmt: skip


def test_a_file_is_shown_as_it_would_change_and_a_secret_never(
    engine: PyinfraEngine, login: Login, capfd: pytest.CaptureFixture[str]
) -> None:
    answer(login, r"printf 'one\ncaf\351\n' >/srv/latin; echo old >/srv/hidden")
    plain = File("/srv/latin", "one\ncafé\n", WHY)
    hidden = File("/srv/hidden", f"{SECRET}\n", WHY, secret=True)
    one, two = engine.look([plain, hidden])
    assert one.diff is not None and "+café" in one.diff
    assert SECRET not in repr(two) and "old" not in (two.diff or "")
    apply(engine, plain, hidden)
    assert answer(login, "cat /srv/latin") == "one\ncafé\n"
    assert capfd.readouterr() == ("", "")
    (right,) = apply(engine, dataclasses.replace(plain, mode=0o600))
    assert "600" in right.title
    assert engine.look([dataclasses.replace(plain, mode=0o600)]) == []


def test_what_is_not_wanted_goes(engine: PyinfraEngine, login: Login) -> None:
    answer(login, "touch /srv/unwanted; systemctl enable -q --now standfast-test || true")
    steps = (
        Packages(("sl",), WHY, absent=True),
        Absent("/srv/unwanted", WHY),
        Unit("standfast-test", WHY, running=False),
    )
    assert len(apply(engine, *steps)) == 3
    assert engine.look(steps) == []
    assert answer(login, "test -e /srv/unwanted || echo gone") == "gone\n"


def test_a_failing_check_leaves_the_file(engine: PyinfraEngine, login: Login) -> None:
    answer(login, "echo good >/srv/checked; chmod 640 /srv/checked")
    bad = File(
        "/srv/checked", f"{SECRET}\n", WHY, secret=True,
        check="{ test -s %s && echo broken in line 7 >&2; false; }",
    )  # fmt: skip
    with pytest.raises(EngineError, match=r"(?s)one.*line 7.*/srv/checked") as caught:
        apply(engine, bad)
    assert SECRET not in str(caught.value)
    assert answer(login, "cat /srv/checked; ls -A /srv | grep checked") == "good\nchecked\n"


def test_a_command_that_fails_or_does_not_help_is_said(engine: PyinfraEngine) -> None:
    with pytest.raises(EngineError, match=r"(?s)one.*no such luck.*a wonder"):
        apply(engine, Command("a wonder", "false", "echo no such luck >&2; exit 3", WHY))
    with pytest.raises(EngineError, match=r"(?s)one.*a wonder"):
        apply(engine, Command("a wonder", "false", "true", WHY))


def test_units_are_told_once_after_the_last_that_tells_them(
    engine: PyinfraEngine, login: Login
) -> None:
    answer(
        login,
        "rm -f /srv/told; printf '[Service]\\nExecStart=sleep infinity\\n"
        'ExecReload=sh -c "echo told >>/srv/told"\\n\' >/run/systemd/system/listener.service;'
        " systemctl daemon-reload; systemctl start listener",
    )
    files = [File(f"/srv/part{n}", "x\n", WHY, tells="listener", reload=True) for n in range(3)]
    apply(engine, *files)
    assert answer(login, "cat /srv/told") == "told\n"


def test_an_apply_that_was_killed_is_finished_by_another(
    engine: PyinfraEngine, login: Login
) -> None:
    answer(
        login,
        "rm -f /srv/told; printf '[Service]\\nExecStart=sleep infinity\\n"
        'ExecReload=sh -c "echo told >>/srv/told"\\n\' >/run/systemd/system/listener.service;'
        " systemctl daemon-reload; systemctl start listener",
    )
    steps: list[Step] = [
        File("/srv/first", "1\n", WHY, tells="listener", reload=True),
        Command("a pause", "test -e /srv/go", "touch /srv/paused; sleep 5; touch /srv/go", WHY),
        File("/srv/last", "2\n", WHY, tells="listener", reload=True),
    ]
    script = f"""\
        from pathlib import PosixPath
        from standfast.cluster.engine import PyinfraEngine
        from standfast.cluster.remote import Login
        from standfast.cluster.steps import *
        login = {login!r}
        PyinfraEngine(login, login).carry_out({steps!r}, print)
        """
    running = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    try:
        deadline_s = time.monotonic() + 20
        while "yes" not in answer(login, "test -e /srv/paused && echo yes; true"):
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
    finally:
        running.kill()
        running.wait()
    # As the server's first file is right already, only the mark says that nobody told the unit.
    assert len(engine.look(steps[:1])) == 1
    apply(engine, *steps)
    assert answer(login, "cat /srv/first /srv/last /srv/told") == "1\n2\ntold\n"
    assert engine.look(steps) == []


def test_a_text_that_arrives_by_half_takes_nobodys_place(
    engine: PyinfraEngine, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(login, "echo whole >/srv/half")
    encode = base64.b64encode
    monkeypatch.setattr("base64.b64encode", lambda text: encode(text[:30]))
    with pytest.raises(EngineError, match="one.*/srv/half"):
        apply(engine, File("/srv/half", "x" * 60, WHY))
    assert answer(login, "cat /srv/half; ls -A /srv | grep half") == "whole\nhalf\n"


def ruin(rules: str) -> Guarded:
    """A firewall that is a little too strict."""
    return Guarded(
        "firewall",
        (
            File("/etc/nftables.conf", rules, WHY, check="nft -c -f %s", tells="nftables",
                 reload=True),
            Unit("nftables", WHY),
        ),
        "nft flush ruleset",
        undo_s=7,
    )  # fmt: skip


SHUT = (
    "flush ruleset\ntable inet t { chain c { type filter hook input priority 0; policy drop; }; }\n"
)


@pytest.fixture
def firewall(engine: PyinfraEngine) -> None:
    """The server can have a firewall."""
    apply(engine, Packages(("nftables",), WHY))


@pytest.mark.usefixtures("firewall")
@pytest.mark.parametrize("how", ["", "--runtime"])
def test_a_masked_unit_is_a_change_and_runs_again(
    engine: PyinfraEngine, login: Login, how: str
) -> None:
    answer(login, f"systemctl disable -q --now nftables; systemctl mask -q {how} nftables")
    steps = (Unit("nftables", WHY),)
    assert len(apply(engine, *steps)) == 1
    assert answer(login, "systemctl is-active nftables; systemctl is-enabled nftables") == (
        "active\nenabled\n"
    )
    apply(engine, Unit("nftables", WHY, running=False))


@pytest.mark.usefixtures("firewall")
def test_a_ruinous_firewall_undoes_itself(login: Login) -> None:
    setup = PyinfraEngine(login, login)
    answer(login, "systemctl mask -q nftables")
    before = answer(login, "cat /etc/nftables.conf; systemctl is-enabled nftables; true")
    with pytest.raises(EngineError, match=r"(?s)one.*firewall.*as it was"):
        apply(setup, ruin(SHUT))
    assert answer(login, "cat /etc/nftables.conf; systemctl is-enabled nftables; true") == before
    again = PyinfraEngine(login, login)
    assert len(again.look([ruin(SHUT)])) == 1
    again.close()


def test_a_ruinous_port_of_sshd_undoes_itself(login: Login) -> None:
    there = dataclasses.replace(login, port=2222)  # but sshd is told another
    wrong = Guarded(
        "SSH",
        (File("/etc/ssh/sshd_config.d/00-t.conf", "Port 2323\n", WHY, tells="ssh", reload=True),),
        "systemctl restart ssh", undo_s=7,
    )  # fmt: skip
    with pytest.raises(EngineError, match=r"(?s)one.*SSH.*as it was"):
        apply(PyinfraEngine(login, there), wrong)
    assert answer(login, "ls /etc/ssh/sshd_config.d") == ""


@pytest.mark.usefixtures("firewall")
@pytest.mark.parametrize("boots", [False, True], ids=["in time", "at the next boot"])
def test_a_guarded_change_whose_admin_died_undoes_itself(
    login: Login, lab: Lab, boots: bool
) -> None:
    change = dataclasses.replace(ruin(SHUT), undo_s=300 if boots else 7)
    script = f"""\
        from pathlib import PosixPath
        from standfast.cluster.engine import PyinfraEngine
        from standfast.cluster.remote import Login
        from standfast.cluster.steps import *
        login = {login!r}
        PyinfraEngine(login, login).carry_out([{change!r}], print)
        """
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 20
        while reachable(login):
            assert time.monotonic() < deadline_s
            assert running.poll() is None, "it ended by itself"
    finally:
        running.kill()
        running.wait()
    if boots:
        lab.machine("one").kill()
        lab.start("one")
    deadline_s = time.monotonic() + 20
    while not reachable(login):
        assert time.monotonic() < deadline_s
    assert "policy drop" not in answer(login, "nft list ruleset")


def reachable(login: Login) -> bool:
    try:
        Remote(login).run("true", kept=False, timeout_s=1)
    except RemoteError:
        return False
    return True


def test_a_line_that_breaks_is_said(
    login: Login,
    lab: Lab,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "SILENCE_S", 3)
    engine = PyinfraEngine(login, login)
    try:
        threading.Timer(0.5, lambda: lab.machine("one").kill()).start()
        with pytest.raises(EngineError, match="one: .*lost"):
            apply(engine, Command("a long sleep", "false", "sleep 40", WHY))
        with pytest.raises(EngineError, match="one: .*lost"):
            engine.look([User("bob", "/home/bob", WHY)])
        engine.close()
        assert capfd.readouterr() == ("", "")
    finally:
        lab.start("one")


def test_the_way_in_may_change_in_the_middle(login: Login) -> None:
    there = dataclasses.replace(login, port=2222)
    step = Guarded(
        "SSH",
        (
            File("/etc/ssh/sshd_config.d/00-t.conf", "Port 2222\n", WHY, tells="ssh", reload=True),
            Unit("ssh", WHY),
        ),
        "systemctl restart ssh", undo_s=20,
    )  # fmt: skip
    after = File("/srv/after", "x\n", WHY)
    engine = PyinfraEngine(login, there)
    assert len(apply(engine, step, after)) == 2
    engine.close()
    assert not reachable(login)
    assert answer(there, "cat /srv/after; systemctl is-active standfast-undo.timer; true") == (
        "x\ninactive\n"
    )
    again = PyinfraEngine(there, there)
    assert again.look([step, after]) == []
    again.close()


def test_a_server_that_is_not_there_or_not_itself_is_said(login: Login, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="one"):
        PyinfraEngine(dataclasses.replace(login, port=2), login)
    nobody = tmp_path / "known_hosts"
    nobody.write_text("")
    with pytest.raises(EngineError, match="one"):
        PyinfraEngine(dataclasses.replace(login, port=2222, known_hosts=nobody), login)


def test_a_server_that_shows_another_key_is_refused_with_words(
    login: Login, tmp_path: Path
) -> None:
    there = dataclasses.replace(login, port=2222, known_hosts=tmp_path / "known_hosts")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True
    )
    other = (tmp_path / "other.pub").read_text()
    there.known_hosts.write_text(f"[{login.address}]:2222 {other}")
    with pytest.raises(OtherHostKey, match="another host key .*provider.*known_hosts"):
        Remote(there).run("true", kept=False)
    with pytest.raises(EngineError, match="one: .*host key"):
        PyinfraEngine(there, there)
