"""Settings: where each comes from, and that a mistake is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.errors import UsageError
from standfast.settings import load

Environ = dict[str, str]


def _file(folder: Path, text: str) -> str:
    path = folder / "standfast.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_flag_goes_before_a_variable_and_a_variable_before_the_file(tmp_path: Path) -> None:
    config = _file(tmp_path, 'app = "file"\nrevision = "file"\nslow_s = 3\n')
    environ = {"STANDFAST_APP": "variable", "STANDFAST_REVISION": "variable"}
    found = load({"app": "flag", "journal": None}, config, environ)
    assert (found.app, found.revision, found.slow_s) == ("flag", "variable", 3.0)


def test_without_any_the_application_is_named_after_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tearoom").mkdir()
    monkeypatch.chdir(tmp_path / "tearoom")
    assert load({}, None, {}).app == "tearoom"


def test_the_store_lies_beside_the_journals(tmp_path: Path) -> None:
    found = load({"journal": str(tmp_path / "journal")}, None, {})
    assert found.store == str(tmp_path / "store.db")


def test_paths_in_the_file_count_from_where_the_file_lies(tmp_path: Path) -> None:
    found = load({}, _file(tmp_path, 'journal = "j"\nstore = "sqlite:///x.db"\n'), {})
    assert found.journal == str(tmp_path / "j")
    assert found.store == "sqlite:///x.db"


def test_an_application_may_have_a_threshold_of_its_own(tmp_path: Path) -> None:
    found = load({}, _file(tmp_path, "slow_s = 2\n[apps.shop]\nslow_s = 0.5\n"), {})
    assert (found.slow_s, dict(found.slow_s_by_app)) == (2.0, {"shop": 0.5})


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('app = "x"\nslow = 3\n', "line 2", "did you mean slow_s"),
        ("slow_s = true\n", "line 1", "number of seconds"),
        ("\nslow_s = -1\n", "line 2", "number of seconds"),
        ('mask = "iban"\n', "line 1", "list of names"),
        ("cpu_time = 1\n", "line 1", "true or false"),
        ('[apps.shop]\nslow_s = "3"\n', "line 2", "number of seconds"),
        ("[apps.shop]\nslwo_s = 3\n", "line 2", "did you mean slow_s"),
        ('app = "x\n', "line 1", "Illegal character"),
        ('trusted_proxies = ["10.0.0.1/33"]\n', "line 1", "addresses, networks"),
        ('trusted_proxies = "10.0.0.1"\n', "line 1", "addresses, networks"),
        ("proxy_hops = 0\n", "line 1", "number of proxies"),
        ("proxy_hops = true\n", "line 1", "number of proxies"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    with pytest.raises(UsageError) as error:
        load({}, _file(tmp_path, text), {})
    assert "standfast.toml" in str(error.value)
    assert place in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STANDFAST_SLOW_S", "soon"),
        ("STANDFAST_SLOW_S", "nan"),
        ("STANDFAST_CPU_TIME", "perhaps"),
        ("STANDFAST_KEEP_ORDINARY_S", "0"),
        ("STANDFAST_TRUSTED_PROXIES", "proxy.test"),
        ("STANDFAST_PROXY_HOPS", "many"),
        ("STANDFAST_PROXY_HOPS", "\u00b2"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=variable):
        load({}, None, {variable: value})


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load({}, None, {"STANDFAST_CONFIG": str(tmp_path / "none.toml")})


def test_trusted_proxies_come_from_a_list_or_from_a_variable_with_commas(tmp_path: Path) -> None:
    config = _file(tmp_path, 'trusted_proxies = ["10.0.0.0/8", "unix"]\nproxy_hops = 2\n')
    found = load({}, config, {})
    assert (found.trusted_proxies, found.proxy_hops) == (("10.0.0.0/8", "unix"), 2)
    environ = {"STANDFAST_TRUSTED_PROXIES": "::1, 127.0.0.1", "STANDFAST_PROXY_HOPS": "1"}
    found = load({}, None, environ)
    assert (found.trusted_proxies, found.proxy_hops) == (("::1", "127.0.0.1"), 1)


def test_names_to_mask_come_from_a_list_or_from_a_variable_with_commas(tmp_path: Path) -> None:
    assert load({}, _file(tmp_path, 'mask = ["a", "b"]\n'), {}).mask == ("a", "b")
    assert load({}, None, {"STANDFAST_MASK": " a, b ,"}).mask == ("a", "b")


@given(text=st.text(max_size=200))
def test_no_file_whatever_it_holds_ends_in_anything_but_settings_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load({}, str(path), {})
    except UsageError as error:
        assert "any.toml" in str(error)


def test_the_logs_of_servers_count_from_where_the_file_lies(tmp_path: Path) -> None:
    config = _file(tmp_path, 'server_logs = ["log/error.log", "/var/log/uwsgi.log"]\n')
    found = load({}, config, {})
    assert found.server_logs == (str(tmp_path / "log/error.log"), "/var/log/uwsgi.log")
    found = load({}, None, {"STANDFAST_SERVER_LOGS": "/var/log/a, /var/log/b"})
    assert found.server_logs == ("/var/log/a", "/var/log/b")
    with pytest.raises(UsageError, match="server_logs should be a list of paths"):
        load({}, _file(tmp_path, 'server_logs = "error.log"\n'), {})


@pytest.mark.parametrize(
    ("size", "bytes_"), [("500M", 500 * 1024**2), ("2g", 2 * 1024**3), ("8388608", 8388608)]
)
def test_the_limit_of_the_journals_is_a_size_as_systemd_writes_it(size: str, bytes_: int) -> None:
    assert load({}, environ={"STANDFAST_JOURNAL_LIMIT": size}).journal_limit == str(bytes_)


@pytest.mark.parametrize("size", ["5", "1M"])
def test_a_limit_within_which_nothing_could_be_recorded_is_refused(size: str) -> None:
    with pytest.raises(UsageError, match="should be at least 4M"):
        load({}, None, {"STANDFAST_JOURNAL_LIMIT": size})


@pytest.mark.parametrize("size", ["0", "-1", "2 gigabytes", "1.5G", "²", "many"])
def test_a_limit_of_the_journals_that_is_no_size_is_named(size: str) -> None:
    with pytest.raises(UsageError, match="should be a size above 0 such as 500M or 2G"):
        load({}, environ={"STANDFAST_JOURNAL_LIMIT": size})


@pytest.mark.parametrize("address", ["db1", "mysql://", "mysql://[::1/shop", "mysql://db1:port/"])
def test_an_address_of_a_database_that_is_none_is_named(address: str) -> None:
    with pytest.raises(UsageError, match="should be the address of a database, as in mysql:"):
        load({}, environ={"STANDFAST_DATABASE": address})
