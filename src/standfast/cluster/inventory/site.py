"""What ``site.toml`` says, as data: the servers, who administers them, and what they carry."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyAddress,
    IPvAnyNetwork,
    PrivateAttr,
    model_validator,
)

from .keys import public_key

#: As many servers as there are offsets for keys that count up (``auto_increment_increment``).
MOST_SERVERS = 10

#: Users that Debian or the site's own packages make: none of them is a person.
_OF_THE_SYSTEM = frozenset({
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy",
    "www-data", "backup", "list", "irc", "nobody", "sshd", "messagebus", "mysql", "bind", "ftp",
    "standfast",
})  # fmt: skip


def _person(text: str) -> str:
    if text in _OF_THE_SYSTEM or text.startswith("systemd-"):
        raise ValueError("is the system's own user: an admin needs a name of a person's own")
    return text


def _root_folder(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+){2,}", text) or ".." in text.split("/"):
        raise ValueError("must be an absolute path of at least two parts, without spaces")
    return text


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line without control characters")
    return text


def _path(text: str) -> str:
    try:
        Path(_one_line(text)).expanduser()
    except RuntimeError:
        raise ValueError("starts with '~' and a user whom this machine does not have") from None
    return text


def _some_place(network: IPvAnyNetwork) -> IPvAnyNetwork:
    least = _SHORTEST_PREFIX[network.version]
    if network.prefixlen < least:
        raise ValueError(
            f"{network} is a large part of the whole internet, to which SSH and the database would"
            f" be open: a network has at least /{least}; give the addresses that you come from"
        )
    return network


def _database(text: str) -> str:
    if text.lower() in _OF_MARIADB:
        raise ValueError(f"{text!r} is the database system's own, or ours: it is not the site's")
    return text


def _in_quotes(value: object) -> object:
    # A bare number is an address to Python's ipaddress: 12 is 0.0.0.12.
    if isinstance(value, int):
        raise ValueError(f"must be an address in quotes; it is {value}")
    return value


#: The shortest prefix of a network of an admin, by version of IP: an /8 is that of a large company.
_SHORTEST_PREFIX = {4: 8, 6: 16}
#: What is each server's own and never replicated, and where `standfast` keeps what is its own.
_OF_MARIADB = frozenset({
    "mysql", "sys", "information_schema", "performance_schema", "standfast", "standfast_joining",
})  # fmt: skip
_PART = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_LABEL = rf"^{_PART}$"
_DOMAIN = rf"^({_PART}\.)+{_PART}$"
_USER = r"^[a-z_][a-z0-9_-]{0,31}$"
_PACKAGE = r"^[a-z0-9][a-z0-9+.-]+$"
_DATABASE = r"^[A-Za-z0-9_]{1,64}$"
#: What the patterns say, for people.
FORMATS = {
    _LABEL: "lower-case letters, digits and hyphens, at most 63, like 'ie' or 'web-1'",
    _DOMAIN: "a domain in lower case, like 'shop.example'",
    _USER: "a user's name as Linux has it: lower-case letters, digits, '_' and '-'",
    _PACKAGE: "the name of a Debian package",
    _DATABASE: "letters, digits and '_', at most 64",
}
Label = Annotated[str, Field(pattern=_LABEL)]
Domain = Annotated[str, Field(pattern=_DOMAIN, max_length=253)]
UserName = Annotated[str, Field(pattern=_USER)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
PublicKey = Annotated[str, AfterValidator(public_key)]
Folder = Annotated[str, AfterValidator(_root_folder)]
PackageName = Annotated[str, Field(pattern=_PACKAGE)]
Line = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_one_line)]
FilePath = Annotated[str, Field(min_length=1), AfterValidator(_path)]
Address = Annotated[IPvAnyAddress, BeforeValidator(_in_quotes)]
Network = Annotated[IPvAnyNetwork, BeforeValidator(_in_quotes), AfterValidator(_some_place)]
DatabaseName = Annotated[str, Field(pattern=_DATABASE), AfterValidator(_database)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Admin(_Part):
    """A person who administers the servers."""

    name: Annotated[UserName, AfterValidator(_person)]
    keys: Annotated[tuple[PublicKey, ...], Field(min_length=1)]
    #: Where the admin comes from: to these alone SSH, FTP and the database are open.
    addresses: Annotated[tuple[Network, ...], Field(min_length=1)]


class Server(_Part):
    """One server. ``first_user`` and ``first_port`` are how its provider lets one in at first."""

    name: Label
    address: Address
    location: Line
    ssh_port: Port = 22
    first_user: UserName = "root"
    first_port: Port = 22
    #: Which keys that count up are its own: those that end in this digit (10 ends in 0).
    #: Given in the order of the list where it is not said; it never changes afterwards.
    number: Annotated[int, Field(ge=1, le=MOST_SERVERS, strict=True)] = 0


class Database(_Part):
    """How the database is replicated. Sizes in MiB; 0 is: from the server's memory."""

    topology: Literal["ring", "mesh"] = "mesh"
    databases: tuple[DatabaseName, ...] = ()
    buffer_pool_mib: Annotated[int, Field(ge=0, strict=True)] = 0


class Files(_Part):
    """What the web server serves, on every server."""

    root: Folder = "/var/www/site"


class Zone(_Part):
    """The site's zone in the name service."""

    ttl_s: Annotated[int, Field(ge=5, le=86400, strict=True)] = 60


class Site(_Part):
    """The whole site. ``server(name)`` and the derived places are what others ask for."""

    name: Label
    domain: Domain
    #: The server that takes uploads and from which files go to the others.
    master: Label
    #: The private key that the tool logs in with; what ``ssh`` itself would take where not said.
    identity: FilePath | None = None
    packages: tuple[PackageName, ...] = ()
    admins: Annotated[tuple[Admin, ...], Field(min_length=1)]
    servers: Annotated[tuple[Server, ...], Field(min_length=1, max_length=MOST_SERVERS)]
    database: Database = Database()
    files: Files = Files()
    zone: Zone = Zone()
    _file: Path = PrivateAttr(default=Path("site.toml"))

    @model_validator(mode="before")
    @classmethod
    def _number(cls, given: object) -> object:
        """Servers that do not say their number get the lowest that are free, in order."""
        if not isinstance(given, dict) or not isinstance(given.get("servers"), list | tuple):
            return given
        servers = [dict(s) if isinstance(s, dict) else s for s in given["servers"]]
        numberless = [s for s in servers if isinstance(s, dict) and "number" not in s]
        taken = [s.get("number") for s in servers if isinstance(s, dict)]
        free = (n for n in range(1, MOST_SERVERS + len(servers) + 1) if n not in taken)
        for server in numberless:
            server["number"] = next(free)
        return {**given, "servers": servers}

    def at(self, file: Path) -> None:
        """Says where it was read from."""
        self._file = file

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self._file.resolve().parent

    @property
    def secrets(self) -> Path:
        """The folder, of mode 700, beside the file in which the site's secrets are kept."""
        return self.folder / f"{self.name}.secrets"

    @property
    def identity_file(self) -> Path | None:
        """The private key to log in with; a relative path starts where the file lies."""
        if self.identity is None:
            return None
        return self.folder / Path(self.identity).expanduser()

    def server(self, name: str) -> Server:
        """The server of this name. Raises KeyError."""
        for server in self.servers:
            if server.name == name:
                return server
        raise KeyError(name)

    def peers(self, server: Server) -> tuple[Server, ...]:
        """All servers but this one."""
        return tuple(other for other in self.servers if other.name != server.name)
