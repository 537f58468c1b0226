"""The SQL that makes, starts, changes and removes one server's replication from another."""

from __future__ import annotations

from collections.abc import Collection

from ..inventory import Server
from ..remote import Remote
from . import accounts, sql
from .layout import PORT
from .observe import Link
from .options import HEARTBEAT_S, RETRY_S
from .secrets import Vault

#: Stopping waits for the transaction that is being applied.
_STOP_S = 120
#: A link that has not connected by then waits for its origin.
_CONNECTS_S = 15
_PAST_HOLE = """\
BEGIN NOT ATOMIC
  DECLARE waited INT DEFAULT 0;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN
    SET GLOBAL gtid_strict_mode = ON;
    RESIGNAL;
  END;
  SET SESSION default_master_connection = {name};
  SET GLOBAL gtid_strict_mode = OFF;
  STOP SLAVE {name};
  START SLAVE {name};
  WHILE waited < {waits} AND (SELECT variable_value FROM information_schema.session_status
                              WHERE variable_name = 'SLAVE_RUNNING') <> 'ON' DO
    SET waited = waited + SLEEP(0.1) + 1;
  END WHILE;
  SET GLOBAL gtid_strict_mode = ON;
END"""
_SHOWN = "SELECT @@ssl_ca AS ca, @@ssl_cert AS cert, @@ssl_key AS pem"


def is_right(link: Link, replica: Server, origin: Server, ignored: Collection[int]) -> bool:
    """Whether a link is made as ``point`` makes it; whether it runs is another matter."""
    return (
        (link.host, link.port, link.user) == (str(origin.address), PORT, accounts.user(replica))
        and link.using_gtid == "Slave_Pos"
        and link.tls
        and link.ignored == set(ignored)
    )


def point(
    remote: Remote, replica: Server, origin: Server, ignored: Collection[int], vault: Vault
) -> None:
    """Makes a link or corrects it, and starts it. It begins where the replica is by GTID, so it
    never goes back and leaves nothing out. Raises RemoteError."""
    name = sql.quoted(origin.name)
    # What the server shows to those that call it, it also shows to those it calls.
    (shown,), there = sql.ask(remote, _SHOWN, "SHOW ALL SLAVES STATUS")
    settings = [
        f"MASTER_HOST = {sql.quoted(str(origin.address))}",
        f"MASTER_PORT = {PORT}",
        f"MASTER_USER = {sql.quoted(accounts.user(replica))}",
        f"MASTER_PASSWORD = {sql.quoted(vault.password(replica))}",
        "MASTER_USE_GTID = slave_pos",
        f"MASTER_CONNECT_RETRY = {RETRY_S}",
        f"MASTER_HEARTBEAT_PERIOD = {HEARTBEAT_S}",
        "MASTER_SSL = 1",
        "MASTER_SSL_VERIFY_SERVER_CERT = 1",
        f"MASTER_SSL_CA = {sql.quoted(shown['ca'] or '')}",
        f"MASTER_SSL_CERT = {sql.quoted(shown['cert'] or '')}",
        f"MASTER_SSL_KEY = {sql.quoted(shown['pem'] or '')}",
        f"IGNORE_SERVER_IDS = ({', '.join(str(one) for one in sorted(ignored))})",
    ]
    change = f"CHANGE MASTER {name} TO {', '.join(settings)}"
    if any(link["Connection_name"] == origin.name for link in there):
        sql.ask(remote, f"STOP SLAVE {name}", change, f"START SLAVE {name}", timeout_s=_STOP_S)
    else:
        sql.ask(remote, change, f"START SLAVE {name}")


def restart(remote: Remote, name: str) -> None:
    """Stops a link and starts it again. Raises RemoteError."""
    link = sql.quoted(name)
    sql.ask(remote, f"STOP SLAVE {link}", f"START SLAVE {link}", timeout_s=_STOP_S)


def pass_hole(remote: Remote, name: str) -> None:
    """Starts a link whose origin's log has a hole where this server is, which strict mode refuses:
    the origin asks the replica's own setting, once, when it connects. Raises RemoteError.

    It is one statement, which the server carries out to its end whatever becomes of who gave it;
    where the server itself ends meanwhile its options file has the setting on again.
    """
    said = _PAST_HOLE.format(name=sql.quoted(name), waits=_CONNECTS_S * 10)
    sql.ask(remote, f"EXECUTE IMMEDIATE {sql.text(said)}", timeout_s=_STOP_S)


def advance(remote: Remote) -> None:
    """Lets a server's position include what it wrote itself. Raises RemoteError."""
    sql.ask(
        remote, "STOP ALL SLAVES", "SET GLOBAL gtid_slave_pos = @@global.gtid_current_pos",
        "START ALL SLAVES", timeout_s=_STOP_S,
    )  # fmt: skip


def drop(remote: Remote, name: str) -> None:
    """Removes a link; what was received through it stays. Raises RemoteError."""
    link = sql.quoted(name)
    sql.ask(remote, f"STOP SLAVE {link}", f"RESET SLAVE {link} ALL", timeout_s=_STOP_S)
