"""The options file: accepted by MariaDB itself, and what each server must have of its own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from standfast.cluster.database import Vault, setup
from standfast.cluster.database.options import options
from standfast.cluster.steps import Command, Directory, File, Step, Unit
from tests.tools import need

from .sites import site

GIB = 1 << 30


def settings(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE))


def test_each_server_has_numbers_of_its_own_and_all_else_is_the_same() -> None:
    one = site(count=3)
    texts = [settings(options(one, server, GIB)) for server in one.servers]
    own = ("server_id", "gtid_domain_id", "auto_increment_offset")
    assert [[text.pop(name) for name in own] for text in texts] == [
        ["1"] * 3,
        ["2"] * 3,
        ["3"] * 3,
    ]
    assert [text.pop("report_host") for text in texts] == ["one", "two", "three"]
    assert texts[0] == texts[1] == texts[2]
    assert texts[0]["auto_increment_increment"] == "10"


def test_what_the_measurements_call_for_is_there() -> None:
    one = site()
    found = settings(options(one, one.servers[0], GIB))
    assert found.items() >= {
        "binlog_format": "ROW", "log_slave_updates": "1", "gtid_strict_mode": "1",
        "gtid_ignore_duplicates": "1", "sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1",
        "rpl_semi_sync_master_enabled": "0", "rpl_semi_sync_slave_enabled": "0",
        "relay_log_recovery": "1", "require_secure_transport": "1", "event_scheduler": "ON",
    }.items()  # fmt: skip


@pytest.mark.parametrize(
    ("memory", "said", "pool"),
    [(1, 0, 64), (GIB, 0, 256), (16 * GIB, 0, 4096), (GIB, 100, 100)],
)
def test_the_buffer_pool_is_a_quarter_of_the_memory_or_what_is_said(
    memory: int, said: int, pool: int
) -> None:
    one = site(buffer_pool_mib=said)
    found = settings(options(one, one.servers[0], memory))
    assert int(found["innodb_buffer_pool_size"]) == pool << 20


def test_mariadb_knows_every_option(tmp_path: Path) -> None:
    need("mariadbd")
    one = site()
    text = options(one, one.servers[0], GIB)

    def accepts(text: str) -> bool:
        (tmp_path / "new").write_text(text)
        command = setup._CHECK.replace("%s", str(tmp_path / "new"))
        return subprocess.run(command, shell=True, capture_output=True, timeout=30).returncode == 0

    assert accepts(text)
    assert not accepts(text + "gtid_strict_moode = 1\n")


def test_the_steps_keep_what_is_secret_and_restart_where_anything_changed(tmp_path: Path) -> None:
    one = site()
    one._file = tmp_path / "site.toml"
    found: list[Step] = setup.steps(one, one.servers[1], GIB, Vault(one))
    assert isinstance(found[0], Directory)
    assert found[0].mode == 0o700
    assert isinstance(found[-2], Unit)
    assert isinstance(found[-1], Command)
    files = [step for step in found if isinstance(step, File)]
    assert {file.tells for file in files} == {"mariadb"}
    for file in files:
        if file.path.endswith(".pem"):
            assert (file.owner, file.group, file.mode, file.secret) == (
                "mysql", "mysql", 0o600, True,
            )  # fmt: skip
    assert setup.steps(one, one.servers[1], GIB, Vault(one)) == found
