"""``standfast cluster check``: what the file says, as it was understood."""

from __future__ import annotations

import argparse


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds the action to the command line."""
    return actions.add_parser(
        "check",
        help="read site.toml and say what it says; no server is asked",
        description="Reads site.toml and shows how it was understood, or names every mistake.",
    )


def run(arguments: argparse.Namespace) -> int:
    """Shows the servers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from standfast.cli.tables import print_words
    from standfast.cluster.inventory import load_site

    site = load_site(arguments.file)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("server", "number", "address", "SSH", "location", ""):
        table.add_column(title, justify="right" if title in ("number", "SSH") else "left")
    for server in site.servers:
        table.add_row(
            server.name, str(server.number), str(server.address), str(server.ssh_port),
            Text(server.location), "takes uploads" if server.name == site.master else "",
        )  # fmt: skip
    admins = ", ".join(admin.name for admin in site.admins)
    databases = ", ".join(site.database.databases) or "none named"
    print_words(f"{site.name} ({site.domain}), administered by {admins}")
    print_words(f"Databases: {databases}; replicated in a {site.database.topology}")
    Console().print(table)
    return 0
