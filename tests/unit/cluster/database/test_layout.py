"""Who replicates from whom."""

from __future__ import annotations

import pytest

from standfast.cluster.database.layout import Pair, links

from .sites import NAMES, site


def pairs(*words: str) -> set[Pair]:
    return {Pair(*word.split("<")) for word in words}


def test_in_a_ring_each_has_the_one_before_it() -> None:
    assert links(site("ring", 3), NAMES[:3]) == pairs("two<one", "three<two", "one<three")
    assert links(site("ring", 2), NAMES[:2]) == pairs("two<one", "one<two")


def test_in_a_mesh_each_has_all_others_whoever_is_there() -> None:
    shall = pairs("one<two", "one<three", "two<one", "two<three", "three<one", "three<two")
    assert links(site("mesh", 3), NAMES[:3]) == shall
    assert links(site("mesh", 3), ["one"]) == shall


def test_a_ring_closes_around_those_that_are_not_there_and_keeps_the_ways_through_them() -> None:
    whole = links(site("ring", 5), NAMES)
    assert links(site("ring", 5), ["one", "three", "four", "five"]) == whole | pairs("three<one")
    assert links(site("ring", 5), ["one", "four"]) == whole | pairs("four<one", "one<four")


@pytest.mark.parametrize("topology", ["ring", "mesh"])
def test_one_server_replicates_from_nobody(topology: str) -> None:
    assert links(site(topology, 1), ["one"]) == frozenset()


def test_the_order_is_that_of_the_numbers_not_of_the_list() -> None:
    one = site("ring", 3)
    turned = one.model_copy(update={"servers": one.servers[::-1]})
    assert links(turned, NAMES[:3]) == links(one, NAMES[:3])
