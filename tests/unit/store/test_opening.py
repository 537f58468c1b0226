from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from standfast.cli.main import main
from standfast.errors import StandfastError
from standfast.store import Sketch, open_store, opening, writing
from standfast.store.tables import application, metadata, texts_of, worker

MIGRATIONS = Path(opening.__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _difference(engine: Engine) -> object:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return compare_metadata(context, metadata)


def _names(engine: Engine) -> set[tuple[str, str | None]]:
    """Every index and constraint by table and name."""
    found = inspect(engine)
    names: set[tuple[str, str | None]] = set()
    for table in metadata.tables:
        names |= {(table, index["name"]) for index in found.get_indexes(table)}
        names |= {(table, unique["name"]) for unique in found.get_unique_constraints(table)}
        names |= {(table, key["name"]) for key in found.get_foreign_keys(table)}
        names |= {(table, check["name"]) for check in found.get_check_constraints(table)}
    return names


def test_migrating_from_nothing_gives_the_tables_of_the_program(tmp_path: Path) -> None:
    migrated = open_store(str(tmp_path / "migrated.db"))
    assert _difference(migrated) == []
    made = open_store(str(tmp_path / "made.db"))
    with writing(made) as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert _names(migrated) == _names(made)


def test_every_migration_can_be_undone_and_done_again(tmp_path: Path) -> None:
    engine = open_store(str(tmp_path / "store.db"))
    config = _config()
    for step in ("downgrade", "upgrade"):
        with writing(engine) as connection:
            config.attributes["connection"] = connection
            getattr(command, step)(config, "base" if step == "downgrade" else "head")
        tables = set(inspect(engine).get_table_names()) - {"alembic_version"}
        assert tables == (set() if step == "downgrade" else set(metadata.tables))
    assert _difference(engine) == []


def test_an_older_store_checks_outcomes_without_a_table_for_each_row(tmp_path: Path) -> None:
    path, config = str(tmp_path / "store.db"), _config()
    engine = open_store(path)
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0010")
    assert _builds_a_table(engine)
    engine.dispose()
    engine = open_store(path)
    assert not _builds_a_table(engine)
    with pytest.raises(IntegrityError, match="ck_request_outcome"), writing(engine) as connection:
        connection.execute(_REQUEST, {"outcome": "other"})
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


_REQUEST = text(
    "INSERT INTO request (application_id, worker_id, seq, route_id, outcome, begun_ns, kind,"
    " method, uri, client, forwarded_for, host, user_agent, thread, cut)"
    " VALUES (1, 1, 1, 1, :outcome, 1, 'http', 'GET', '/', '', '', '', '', 1, 0)"
)


def _builds_a_table(engine: Engine) -> bool:
    """Whether SQLite makes one to check a row of ``request``."""
    with engine.connect() as connection:
        steps = connection.execute(text(f"EXPLAIN {_REQUEST}"), {"outcome": "slow"})
        return "OpenEphemeral" in {step.opcode for step in steps}


def test_an_older_store_gets_its_hours_its_days_and_the_places_of_its_errors(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "store.db")
    engine, config = open_store(path), _config()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
        connection.execute(text("INSERT INTO application (id, name) VALUES (1, 'shop')"))
        connection.execute(
            text("INSERT INTO route (id, application_id, template) VALUES (1, 1, '/')")
        )
        minute = text(
            "INSERT INTO rollup (route_id, minute, count, failed, slow, duration_ns, cpu_ns, sent,"
            " sketch) VALUES (1, :minute, 1, 1, 0, :ns, NULL, 5, :sketch)"
        )
        # Two hours of one day, and the first minute of the next.
        minutes = (*range(60, 180), 1440)
        connection.execute(
            minute,
            [{"minute": at, "ns": at, "sketch": Sketch([at]).to_bytes()} for at in minutes],
        )
        connection.execute(
            text(
                "INSERT INTO worker (id, uid, application_id, host, pid, pid_namespace,"
                " start_ticks, boot_id, server, revision, started_ns, last_seen_ns)"
                " VALUES (1, '1-1', 1, 'web1', 1, 1, 1, '', '', '', 1, 1)"
            )
        )
        failed = text(
            "INSERT INTO request (application_id, worker_id, seq, route_id, outcome, begun_ns,"
            " kind, method, uri, client, forwarded_for, host, user_agent, thread, error, cut)"
            " VALUES (1, 1, :seq, 1, 'failed', 1, 'http', 'GET', '/', '', '', '', '', 1, :error, 0)"
        )
        connection.execute(
            failed, [{"seq": at, "error": f"shop: {at}\n" if at else None} for at in range(1201)]
        )
    engine.dispose()
    engine = open_store(path)
    with engine.connect() as connection:
        hours = connection.execute(text("SELECT hour, count, duration_ns, sent FROM rollup_hour"))
        assert hours.all() == [
            (1, 60, sum(range(60, 120)), 300), (2, 60, sum(range(120, 180)), 300),
            (24, 1, 1440, 5),
        ]  # fmt: skip
        days = connection.execute(text("SELECT day, count, sketch, cpu_ns FROM rollup_day")).all()
        assert [(day, count, cpu) for day, count, _, cpu in days] == [(0, 120, None), (1, 1, None)]
        assert days[0].sketch == Sketch(range(60, 180)).to_bytes()
        places = connection.execute(text("SELECT place FROM request ORDER BY seq")).scalars().all()
        assert places == [None, *[f"shop: {at}" for at in range(1, 1201)]]
    assert _difference(engine) == []


def test_the_program_knows_its_last_migration() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == opening.REVISION


def test_a_store_is_found_again_as_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.db"
    with writing(open_store(str(path))) as connection:
        connection.execute(application.insert().values(name="shop"))
    for url in (str(path), f"sqlite:///{path}"):
        with open_store(url, create=False).connect() as connection:
            assert connection.execute(application.select()).one().name == "shop"


def test_nobody_else_may_read_a_store(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.db"
    with writing(open_store(str(path))) as connection:
        connection.execute(application.insert().values(name="shop"))
        for file in path.parent.iterdir():
            assert file.stat().st_mode & 0o077 == 0, file.name
    assert path.parent.stat().st_mode & 0o066 == 0


def test_sqlite_checks_foreign_keys_and_keeps_a_log(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store.db")).connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_an_exception_rolls_a_transaction_back(tmp_path: Path) -> None:
    engine = open_store(str(tmp_path / "store.db"))
    with pytest.raises(RuntimeError), writing(engine) as connection:
        connection.execute(application.insert().values(name="shop"))
        raise RuntimeError
    with engine.connect() as connection:
        assert connection.execute(application.select()).all() == []


def test_a_current_store_opens_without_loading_alembic(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    open_store(path)
    code = (
        "import sys; from standfast.store import open_store; open_store(sys.argv[1]);"
        " print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "False"


def _message(url: str, create: bool = True) -> str:
    with pytest.raises(StandfastError) as caught:
        open_store(url, create=create)
    return str(caught.value)


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    with writing(open_store(path)) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    message = _message(path)
    assert path in message
    assert "newer" in message
    assert "upgrade standfast" in message


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be taken for one" * 100)
    before = path.read_bytes()
    assert "not a database" in _message(str(path))
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE worker (name TEXT)")
    assert "not one of Standfast's" in _message(str(path))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("worker",)]


def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = _message(str(tmp_path / "file" / "store.db"))
    assert "--store" in message


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path) in _message(str(tmp_path))


def test_a_reader_does_not_make_a_store(tmp_path: Path) -> None:
    assert "not there yet" in _message(str(tmp_path / "store.db"), create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_opens_a_store_twice_loses_nothing_it_writes(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    code = (
        "import sys; from standfast.store import open_store, writing, tables\n"
        "with writing(open_store(sys.argv[1])) as connection:\n"
        "    connection.execute(tables.application.insert().values(name=sys.argv[2]))\n"
        "    names = connection.execute(tables.application.select()).all()\n"
        "print(*[row.name for row in names])"
    )

    def elsewhere(name: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code, path, name],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout.strip()

    engine = open_store(path)
    open_store(path)
    assert elsewhere("one") == "one"
    with writing(engine) as connection:
        connection.execute(application.insert().values(name="two"))
    assert elsewhere("three") == "one two three"


def test_a_store_may_lie_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
    open_store(str(tmp_path / "link.db")).dispose()
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["://", "nonsense://host/name", "mysql+nodriver://host/name"])
def test_a_wrong_address_is_an_error_in_words(url: str) -> None:
    assert url in _message(url)


def test_a_worker_needs_an_application(tmp_path: Path) -> None:
    columns = {
        column.name: "x" if str(column.type).startswith("VARCHAR") else 1
        for column in worker.columns
        if not column.nullable and column.name != "id"
    }
    engine = open_store(str(tmp_path / "store.db"))
    with pytest.raises(Exception, match="FOREIGN KEY"), writing(engine) as connection:
        connection.execute(worker.insert().values(**columns))


def test_raw_texts_come_back_even_if_they_are_not_six() -> None:
    assert texts_of(b"1\x002\x003\x004\x005\x006") == ["1", "2", "3", "4", "5", "6"]
    assert texts_of(b"1\x00\xff") == ["1", "\\xff", "", "", "", ""]
    assert texts_of(b"1\x002\x003\x004\x005\x006\x007")[5] == "6\\07"


def test_who_only_reads_does_not_change_an_older_store(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    engine, config = open_store(path), _config()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0005")
    engine.dispose()
    before = _bytes(tmp_path)
    with pytest.raises(StandfastError, match="`standfast watch` of this version brings it up"):
        open_store(path, create=False, update=False)
    assert _bytes(tmp_path) == before
    assert main(["report", "crashes", "--store", path]) == 1
    assert _bytes(tmp_path) == before


def _bytes(folder: Path) -> bytes:
    return (folder / "store.db").read_bytes()


def test_a_driver_that_is_missing_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(StandfastError, match=r"driver is missing; `pip install pymysql` beside"):
        open_store("mysql://ann:secret@127.0.0.1/standfast")
    with pytest.raises(StandfastError, match="not a database that standfast knows"):
        open_store("informix://ann:secret@127.0.0.1/standfast")
