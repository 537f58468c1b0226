"""The firewall's text: well formed whatever addresses there are."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.cluster.provision.firewall import Openings, ruleset
from tests.tools import need

NETWORKS = st.lists(
    st.ip_addresses().map(str)
    | st.tuples(st.ip_addresses(v=4), st.integers(8, 32)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    | st.tuples(st.ip_addresses(v=6), st.integers(16, 128)).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    ),
    max_size=6,
)
needs_nft = pytest.mark.skipif(os.geteuid() != 0, reason="nft asks the kernel: this is not root")


@needs_nft
@settings(max_examples=40)
@given(NETWORKS, NETWORKS, st.integers(1, 65535), st.booleans())
def test_nft_takes_every_ruleset(
    admins: list[str], peers: list[str], ssh_port: int, ftp: bool
) -> None:
    need("nft")
    text = ruleset(Openings(ssh_port, admins, peers, ftp))
    done = subprocess.run(
        ["nft", "--check", "--file", "-"], input=text, capture_output=True, text=True,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_same_openings_give_the_same_text_in_whatever_order() -> None:
    one = Openings(22, ["10.0.0.1", "10.0.0.0/24"], ["fd00::2", "192.0.2.7"])
    other = Openings(22, ["10.0.0.0/24"], ["192.0.2.7", "10.0.0.1", "fd00::2"])
    assert ruleset(one) == ruleset(other)


def test_ftp_is_open_only_where_uploads_are_taken() -> None:
    assert "40000-40099" not in ruleset(Openings(22, ["10.0.0.1"], []))
    assert "40000-40099" in ruleset(Openings(22, ["10.0.0.1"], [], ftp=True))


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="everybody"):
        ruleset(Openings(22, ["everybody"], []))
