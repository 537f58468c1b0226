"""``standfast doctor``: is everything in place?"""

from __future__ import annotations

import argparse
import json

from standfast.cli import options


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="say whether everything is in place, and what to do",
        description="Looks at the journal folder, the recorder, the watcher and the store. Ends "
        "with status 1 when something is not as it should be.",
    )
    parser.add_argument("--json", action="store_true", help="a list of findings for programs")
    parser.add_argument(
        "--user", metavar="NAME",
        help="whom the application runs as: may it record there? (root looks by itself for those"
        " that run)",
    )  # fmt: skip
    options.add_settings(parser, "journal", "store")


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings."""
    from standfast.watch.checkup import OK, check

    settings = options.settings(arguments)
    findings = check(settings.journal, settings.store, arguments.user)
    if arguments.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{finding.state:<10}{finding.subject}: {_harmless(finding.words)}")
            if finding.advice:
                print(f"{'':<10}-> {_harmless(finding.advice)}")
    return 0 if all(finding.state == OK for finding in findings) else 1


def _harmless(text: str) -> str:
    """Names of files and servers are anybody's words: nothing in them may act on a terminal."""
    return "".join([one if one.isprintable() else ascii(one)[1:-1] for one in text])
