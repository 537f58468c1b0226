"""``site.toml``: what is right is read, and every mistake is named by line, key and remedy."""

from __future__ import annotations

import random
import re
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from standfast.cluster.inventory import Site, load_site
from standfast.cluster.inventory.template import template
from standfast.errors import UsageError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVLqQ1qq5vX0HqW0Hq1g0fQm1F5o4n3Yk0b5m0wq2Zt ann@laptop"
TEXT = template("ann", KEY)
DOCS = Path(__file__).parents[4] / "docs" / "site.md"


def load(folder: Path, text: str) -> Site:
    file = folder / "site.toml"
    file.write_text(text)
    return load_site(file)


def refusal(folder: Path, text: str) -> str:
    """What is said of a text, without the folder."""
    with pytest.raises(UsageError) as refused:
        load(folder, text)
    return str(refused.value).replace(f"{folder}/", "")


def line_of(text: str, beginning: str) -> int:
    return next(n for n, line in enumerate(text.split("\n"), 1) if line.startswith(beginning))


def test_the_template_fits_the_lab_in_thirty_lines(tmp_path: Path) -> None:
    site = load(tmp_path, TEXT)
    assert [(each.name, str(each.address), each.number) for each in site.servers] == [
        ("ie", "10.88.0.11", 1), ("nl", "10.88.0.12", 2), ("us", "10.88.0.13", 3),
    ]  # fmt: skip
    assert [str(each) for each in site.admins[0].addresses] == ["10.88.0.1/32"]
    assert site.secrets == tmp_path / "shop.secrets"
    said = [line for line in TEXT.splitlines() if line.strip() and not line.startswith("#")]
    assert len(said) <= 30


@pytest.mark.parametrize(
    ("before", "after", "beginning", "words"),
    [
        ("address = \"10.88.0.12\"", "adress = \"10.88.0.12\"", "adress",
         "servers[1].adress: unknown key; did you mean 'address'? allowed: name, address,"),
        ("10.88.0.12", "10.88.0.1222", "address = \"10.88.0.1222\"",
         "servers[1].address: must be an IPv4 or IPv6 address; it is '10.88.0.1222'"),
        ("number = 3", "number = 11", "number = 11",
         "servers[2].number: must be at most 10; it is 11"),
        ("number = 3", "number = 2", "[[servers]]",
         "servers[2].number: 2 is that of servers[1] already"),
        ("number = 3", "number = \"three\"", "number = \"three\"",
         "servers[2].number: must be a whole number, without quotes; it is 'three'"),
        ("10.88.0.13", "10.88.0.11", "[[servers]]",
         "servers[2].address: 10.88.0.11 is that of servers[0] already"),
        ("topology = \"mesh\"", "topology = \"star\"", "topology",
         "database.topology: must be 'ring' or 'mesh'; it is 'star'"),
        ("master = \"ie\"", "master = \"nll\"", "master",
         "master: there is no server 'nll'; did you mean 'nl'? there are ie, nl, us"),
        ("domain = \"shop.example\"", "domain = \"Shop\"", "domain",
         "domain: must be a domain in lower case, like 'shop.example'; it is 'Shop'"),
        (f"keys = [\"{KEY}\"]", "keys = [\"ssh-ed25519 nothing\"]", "keys",
         "admins[0].keys[0]: is no whole key of the kind ssh-ed25519: a character is missing"),
        (f"keys = [\"{KEY}\"]", "keys = [\"ssh-dss AAAA ann\"]", "keys",
         "admins[0].keys[0]: must be a public key as in a file .pub: 'ssh-ed25519 AAAA… name'"),
        ("10.88.0.1\"]", "0.0.0.0/0\"]", "addresses",
         "admins[0].addresses[0]: 0.0.0.0/0 is a large part of the whole internet"),
        ("10.88.0.1\"]", "10.88.0.1\", \"8000::/1\"]", "addresses",
         "admins[0].addresses[1]: 8000::/1 is a large part of the whole internet"),
        ("databases = [\"shop\"]", "databases = [\"shop\", \"MySQL\"]", "databases",
         "database.databases[1]: 'MySQL' is the database system's own"),
        ("databases = [\"shop\"]", "databases = [\"standfast\"]", "databases",
         "database.databases[0]: 'standfast' is the database system's own, or ours"),
        (f"keys = [\"{KEY}\"]", "keys = []", "keys", "admins[0].keys: must have at least one"),
        ("name = \"ann\"", "name = \"mysql\"", "name = \"mysql\"", "is the system's own user"),
        ("ssh_port = 2222\n\n[database]", "ssh_port = 443\n\n[database]", "ssh_port = 443",
         "servers[2].ssh_port: 443 is needed for the web"),
        ("ssh_port = 2222\n\n[database]", "ssh_port = 40050\n\n[database]", "ssh_port = 40050",
         "servers[2].ssh_port: 40000 to 40099 are needed for FTP"),
        ("databases = [\"shop\"]", "databases = \"shop\"", "databases",
         "database.databases: must be a list in brackets; it is 'shop'"),
        ("location = \"Ireland\"\n", "", "[[servers]]", "servers[0].location: is missing"),
        ("number = 3", "number = [3]", "number = [3]",
         "servers[2].number: must be a whole number, without quotes; it is [3]"),
        ("number = 3", "number = \"3\"", "number = \"3\"",
         "servers[2].number: must be a whole number, without quotes; it is '3'"),
        ("number = 3", f"number = 0x{'f' * 5000}", "number = 0xf",
         "servers[2].number: must be at most 10; it is a number of thousands of digits"),
        ("\"10.88.0.12\"", "12", "address = 12",
         "servers[1].address: must be an address in quotes; it is 12"),
        ("\"Ireland\"", "\"\\u001b[31m\"", "location = \"\\u001b",
         "servers[0].location: must be one line without control characters"),
        ("master = \"ie\"", "master = \"ie\"\nidentity = \"~nobody-of-that-name/key\"", "identity",
         "identity: starts with '~' and a user whom this machine does not have"),
        ("master = \"ie\"", "master = \"ie\"\n\"\\u202e\" = 1", "\"\\u202e\"",
         "'\\u202e': unknown key; allowed: name"),
        ("# The site.", "# The\u2028site.\nzzz = 1 #", "zzz", "zzz: unknown key"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_its_line_its_key_and_what_is_allowed(
    tmp_path: Path, before: str, after: str, beginning: str, words: str
) -> None:
    assert before in TEXT
    text = TEXT.replace(before, after)
    said = refusal(tmp_path, text)
    assert words in said
    if beginning != "[[servers]]":
        assert f"site.toml:{line_of(text, beginning)}: " in said
    else:
        assert re.match(r"site\.toml:\d+: ", said)


@pytest.mark.parametrize("at", range(len(KEY.split()[1]) - 1))
def test_a_key_with_a_character_missing_is_refused(tmp_path: Path, at: int) -> None:
    kind, encoded, comment = KEY.split()
    broken = f"{kind} {encoded[:at]}{encoded[at + 1 :]} {comment}"
    assert "is no whole key of the kind ssh-ed25519" in refusal(tmp_path, template("ann", broken))


def test_a_key_that_begins_with_another_letter_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, template("ann", KEY.replace(" AAAAC3", " BBBBC3")))
    assert "admins[0].keys[0]: is no whole key" in said


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ("-t ed25519", True), ("-t ecdsa -b 384", True), ("-t rsa -b 2048", True),
        ("-t rsa -b 1024", False),
    ],
)  # fmt: skip
def test_whole_keys_of_each_kind_are_taken_and_weak_ones_are_not(
    tmp_path: Path, options: str, taken: bool
) -> None:
    file = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", *options.split(), "-N", "", "-C", "ann", "-f", file], check=True
    )
    key = (tmp_path / "key.pub").read_text().strip()
    if taken:
        assert load(tmp_path, template("ann", key)).admins[0].keys == (key,)
    else:
        assert "is an RSA key of 1024 bits, which is too weak" in refusal(
            tmp_path, template("ann", key)
        )


def test_an_identity_is_a_private_key_that_can_be_read(tmp_path: Path) -> None:
    text = template("ann", KEY, "key")
    missing = refusal(tmp_path, text)
    assert f"site.toml:{line_of(text, 'identity')}: identity: " in missing
    assert "key cannot be read: No such file or directory" in missing
    (tmp_path / "key").write_text(KEY)
    assert "key is no private key of OpenSSH" in refusal(tmp_path, text)
    public = template("ann", KEY, "key.pub")
    (tmp_path / "key.pub").write_text(KEY)
    assert "no private key of OpenSSH, it is the public half" in refusal(tmp_path, public)
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert load(tmp_path, text).identity_file == tmp_path / "key"


def test_a_key_with_anything_in_its_comment_is_written_as_it_is(tmp_path: Path) -> None:
    key = KEY.replace("ann@laptop", 'HOME\\ann "the é" {x}')
    assert load(tmp_path, template("ann", key)).admins[0].keys == (key,)


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = TEXT.replace('domain = "', 'domain = "!').replace("number = 3", "number = 0")
    said = refusal(tmp_path, text + "\n[zone]\nttl_s = 1\nttl = 2\n").splitlines()
    lines = [int(line.split(":")[1]) for line in said]
    assert len(said) == 4
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "name: is missing"),
        (b"name = ", "this is not TOML: Invalid value (at end of document)"),
        (b"a = 1\nb = [1,\n", "this is not TOML"),
        (b"a = " + b"9" * 5000, "this is not TOML: a number in it is too large"),
        (b"a = " + b"[" * 5000, "this is not TOML"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (b"# " + b"x" * 1_100_000, "this is no inventory"),
        (b"servers = 3\nadmins = []\n", "servers: must be a list in brackets; it is 3"),
        (b"[servers]\nname = 'x'\n", "servers: must be a list in brackets"),
    ],
)
def test_what_is_no_inventory_is_refused_with_words(
    tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "site.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(words)) as refused:
        load_site(file)
    assert str(file) in str(refused.value)


def test_a_file_that_is_not_there_is_made_by_init(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="standfast cluster init"):
        load_site(tmp_path / "site.toml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_site(tmp_path)


_WORDS = st.sampled_from(
    ["name", "[[servers]]", "[servers]", "[database]", "=", '"', "'", "[", "]", "{", "}", "#",
     "number = 1", "keys = [[]]", "servers = []", "x.y = 1", '"a b" = 2', "\t", "\\", "0", "-1",
     "1e99", "true", "number = [1]", "9" * 5000, "0x" + "f" * 5000,
     "1979-05-27", '"""', "\u202e", "é", "servers.x = 1"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(_WORDS, min_size=1, max_size=4))
def test_whatever_becomes_of_the_template_it_is_read_or_refused_with_words(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random, words: list[str]
) -> None:
    lines = TEXT.splitlines()
    for word in words:
        at = chance.randrange(len(lines))
        line = lines[at]
        cut = chance.randrange(len(line) + 1)
        lines[at] = chance.choice(
            [line[:cut] + word + line[cut:], word, line[:cut], line + "\n" + word,
             line.replace(chance.choice(string.ascii_lowercase), word)]
        )  # fmt: skip
    file = tmp_path_factory.getbasetemp() / "mutated.toml"
    file.write_text("\n".join(lines))
    try:
        assert isinstance(load_site(file), Site)
    except UsageError as error:
        assert all(line.startswith(str(file)) for line in str(error).splitlines())


def test_the_document_names_every_key_and_no_others() -> None:
    named = set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", DOCS.read_text("utf-8"), re.MULTILINE))
    assert named == set(_keys(Site))


def _keys(model: type[BaseModel], before: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        found.append(f"{before}{name}")
        if inner:
            many = "[]" if inner[0] is not field.annotation else ""
            found += _keys(inner[0], f"{before}{name}{many}.")
    return found
