"""Stacks on demand, in processes of their own and under any Python: they answer, and harm none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from standfast.journal.files import STACK_SIGNAL
from tests.interpreters import RUNNING, find_interpreter

SRC = Path(__file__).parents[3] / "src"
PYTHONS = sorted({"3.9", "3.10", "3.11", "3.12", "3.13", "3.14", RUNNING})

_START = f"""
import os, signal, sys, threading, time
from standfast.journal import files, identity
from standfast.record import stacks
from standfast.record.channel import channel_for
SIGNAL = {STACK_SIGNAL}
def ask():
    os.kill(os.getpid(), SIGNAL)
def stack(app="shop"):
    uid = channel_for(app).writer.uid
    return os.path.join(os.environ["STANDFAST_JOURNAL"], app, uid + ".stack")
def stack_of_this_process():
    uid = files.uid_of(identity.of_this_process("shop"))
    return os.path.join(os.environ["STANDFAST_JOURNAL"], "shop", uid + ".stack")
def text(app="shop"):
    with open(stack(app)) as file:
        return file.read()
"""


def run(folder: Path, code: str, python: Path | str | None = None) -> str:
    """What a Python prints that runs ``code`` with a recorder; it must end well."""
    done = subprocess.run(
        [python or find_interpreter(RUNNING) or "python3", "-S", "-s", "-c", _START + code],
        env={
            "PYTHONPATH": str(SRC),
            "PYTHONDONTWRITEBYTECODE": "1",
            "STANDFAST_JOURNAL": str(folder),
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("version", PYTHONS)
def test_all_threads_are_written_each_time_and_no_call_is_disturbed(
    tmp_path: Path, version: str
) -> None:
    python = find_interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on PATH or in pyenv")
    code = """
channel_for("shop").open()
lock = threading.Lock()
lock.acquire()
def waits_for_a_lock():
    lock.acquire()
threading.Thread(target=waits_for_a_lock, daemon=True).start()
before = threading.active_count()
def sleeps():
    threading.Timer(0.2, ask).start()
    begun = time.monotonic()
    time.sleep(0.5)
    return time.monotonic() - begun
assert sleeps() >= 0.5
first = text()
assert "in waits_for_a_lock" in first and "in sleeps" in first, first
assert sleeps() >= 0.5
assert text().startswith(first) and text().count("in sleeps") == 2
time.sleep(0.3)
assert threading.active_count() == before, "it costs no thread"
assert os.stat(stack()).st_mode & 0o777 == 0o600
print("fine")
"""
    assert run(tmp_path, code, python) == "fine\n"


def test_a_child_answers_in_a_file_of_its_own_once_it_serves_and_is_deaf_before(
    tmp_path: Path,
) -> None:
    code = """
channel_for("shop").open()
parents = stack()
child = os.fork()
if not child:
    assert not os.path.exists(stack_of_this_process()), "nobody may ask it yet"
    ask()
    def in_the_child():
        ask()
    channel_for("shop").open()
    in_the_child()
    assert stack() != parents and "in in_the_child" in text()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert os.path.getsize(parents) == 0
def in_the_parent():
    ask()
in_the_parent()
assert "in in_the_parent" in text()
print("fine")
"""
    assert run(tmp_path, code) == "fine\n"


def test_an_application_that_uses_the_signal_itself_keeps_it(tmp_path: Path) -> None:
    code = """
heard = []
signal.signal(SIGNAL, lambda *_: heard.append(1))
channel_for("shop").open()
ask()
print(len(heard), os.path.exists(stack()))
"""
    assert run(tmp_path, code) == "1 False\n"


def test_a_signal_that_the_application_ignores_stays_ignored(tmp_path: Path) -> None:
    code = """
signal.signal(SIGNAL, signal.SIG_IGN)
channel_for("shop").open()
ask()
print(signal.getsignal(SIGNAL).name, os.path.exists(stack()))
"""
    assert run(tmp_path, code) == "SIG_IGN False\n"


def test_two_applications_in_a_process_both_have_the_answer(tmp_path: Path) -> None:
    code = """
channel_for("shop").open()
channel_for("blog").open()
ask()
print("most recent call first" in text("shop"), "most recent call first" in text("blog"))
"""
    assert run(tmp_path, code) == "True True\n"


@pytest.mark.parametrize("version", PYTHONS)
def test_a_subinterpreter_leaves_the_signal_alone(tmp_path: Path, version: str) -> None:
    python = find_interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on PATH or in pyenv")
    code = """
try:
    import _interpreters as interpreters
    other = interpreters.create("legacy")  # as mod_wsgi makes them
except ImportError:
    import _xxsubinterpreters as interpreters
    other = interpreters.create(isolated=False)
interpreters.run_string(other, '''
import sys
sys.path.insert(0, %r)
from standfast.record import stacks
stacks.listen()
stacks.answer_in(%r)
''' % (os.environ["PYTHONPATH"], os.path.join(os.environ["STANDFAST_JOURNAL"], "x.stack")))
print(signal.getsignal(SIGNAL) == signal.SIG_DFL, os.listdir(os.environ["STANDFAST_JOURNAL"]))
"""
    assert run(tmp_path, code, python) == "True []\n"


def test_where_the_file_cannot_be_made_the_application_runs_on(tmp_path: Path) -> None:
    code = """
import resource
channel = channel_for("shop")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
channel.open()
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
ask()
print(os.path.exists(stack_of_this_process()))
"""
    assert run(tmp_path, code) == "False\n"


@pytest.mark.parametrize("version", PYTHONS)
def test_a_busy_process_survives_being_asked_many_times(tmp_path: Path, version: str) -> None:
    python = find_interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on PATH or in pyenv")
    code = """
channel_for("shop").open()
until = time.monotonic() + 2
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
def busy():
    while time.monotonic() < until:
        threading.Thread(target=fib, args=(8,)).start()
        exec("def f(a):\\n  return a * 2\\nf(3)")
for _ in range(3):
    threading.Thread(target=busy).start()
asked = 0
while time.monotonic() < until:
    ask()
    asked += 1
    time.sleep(0.001)
# A handler in C was dead after four.
print(asked > 20)
"""
    assert run(tmp_path, code, python) == "True\n"
