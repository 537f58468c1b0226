"""One server by way of pyinfra: its facts, its operations, and a shell where it has neither."""

from __future__ import annotations

import base64
import logging
import socket
from typing import Any

import gevent  # type: ignore[import-untyped]
from paramiko import SSHException, Transport
from pyinfra.api.command import StringCommand
from pyinfra.api.config import Config
from pyinfra.api.exceptions import ConnectError, NestedOperationError, PyinfraError
from pyinfra.api.facts import FactBase
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State, StateStage
from pyinfra.context import ctx_host, ctx_state

from ..remote import Login
from .change import EngineError

# It complains to the terminal on its own; what went wrong is in our errors.
logging.getLogger("pyinfra").addHandler(logging.NullHandler())
logging.getLogger("pyinfra").propagate = False


#: A line that answers nothing for so long is lost, in seconds.
SILENCE_S = 30


class Session:
    """A connection to one server as root. pyinfra is not thread-safe: one thread alone."""

    def __init__(self, login: Login) -> None:
        """Raises EngineError where the server does not let one in."""
        self.name = login.name
        data: dict[str, Any] = {
            "ssh_user": login.user,
            "ssh_port": login.port,
            "ssh_known_hosts_file": str(login.known_hosts),
            "ssh_strict_host_key_checking": "yes",
        }
        if login.identity is not None:
            data["ssh_key"] = str(login.identity)
        inventory = Inventory(([(login.address, data)], {}))  # type: ignore[no-untyped-call]
        self._sudo = login.user != "root"
        config = Config(SUDO=self._sudo)  # type: ignore[no-untyped-call]
        self._state = State(inventory, config)
        self._host = inventory.get_host(login.address)
        try:
            self._host.connect(show_errors=False, raise_exceptions=True)
        except ConnectError as error:
            raise EngineError(f"{self.name}: {error}") from None
        connector: Any = self._host.connector
        self._transport: Transport = connector.client.get_transport()
        _watch(self._transport)
        # Nor does its event loop speak to the terminal.
        gevent.get_hub().exception_stream = None
        self._state.activate_host(self._host)
        # Operations are carried out at once, not gathered for later.
        self._state.current_stage = StateStage.Execute
        self._state.is_executing = True
        self._facts: dict[object, Any] = {}

    def fact(self, kind: type[FactBase[Any]], *arguments: str) -> Any:
        """A fact, as pyinfra's documentation describes it; read once until something is done."""
        key = (kind, arguments)
        if key not in self._facts:
            with ctx_state.use(self._state), ctx_host.use(self._host):
                try:
                    self._facts[key] = self._host.get_fact(kind, *arguments)
                except PyinfraError as error:
                    raise EngineError(self._failed(str(error))) from None
        return self._facts[key]

    def do(self, operation: Any, *arguments: object, **options: object) -> None:
        """Carries an operation of pyinfra out. Raises EngineError with the server's complaint."""
        self._facts.clear()
        with ctx_state.use(self._state), ctx_host.use(self._host):
            try:
                operation(*arguments, **options)
            except NestedOperationError as error:
                raise EngineError(self._complaint(str(error))) from None
            except PyinfraError as error:
                raise EngineError(f"{self.name}: {error}") from None

    def _complaint(self, name: str) -> str:
        done = self._state.ops[self._host].get(name)
        said = done.operation_meta.stderr.strip() if done is not None else ""
        return self._failed(said)

    def _failed(self, said: str) -> str:
        if not self._transport.is_active():
            said = "the connection was lost"
        return f"{self.name}: {said or 'a command failed without a word'}"

    def shell(self, script: str, given: str | None = None) -> str:
        """Runs a script as root and returns what it printed; ``given`` is at its standard input.

        Raises EngineError with its complaint.
        """
        self._facts.clear()
        fine, said = self.tries(script, given)
        if not fine:
            raise EngineError(self._failed(said.strip()))
        return said

    def tries(self, script: str, given: str | None = None) -> tuple[bool, str]:
        """Whether a script ends well, and what it printed, or complained of where it does not."""
        options: dict[str, Any] = {"_sudo": self._sudo, "_shell_executable": "sh"}
        if given is not None:
            # pyinfra adds an end of line where there is none.
            script = f"base64 -d | {{ {script}\n}}"
            options["_stdin"] = base64.b64encode(given.encode()).decode()
        try:
            fine, output = self._host.run_shell_command(StringCommand(script), **options)
        except (OSError, EOFError, SSHException) as error:
            raise EngineError(self._failed(str(error))) from None
        return fine, output.stdout if fine else output.stderr or output.stdout

    def close(self) -> None:
        """Ends the connection."""
        self._host.disconnect()
        self._transport.close()  # which pyinfra leaves open


def _watch(transport: Transport) -> None:
    """A server that has died is noticed, not waited for."""
    transport.set_keepalive(SILENCE_S // 3)
    if isinstance(transport.sock, socket.socket):
        milliseconds = SILENCE_S * 1000
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
