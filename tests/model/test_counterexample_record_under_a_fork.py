"""Counterexample: a record that quotes an entry off the chain ends the journal for every honest reader.

The host shows one user cloud the losing half of a fork of the owner log (two honest devices suffice for one). What it
appends meanwhile does not fold under the log that was witnessed: `journal-head`. A device therefore believes no head
that quotes an entry which its own log does not hold; and such a record has to go before the journal can go on.
"""

from __future__ import annotations

import pytest

from tests.model.clouds import Cloud
from tests.model.owners import a_grant, a_request, born
from tests.model.world import World, fold_journal, key
from waykeep.errors import AuthorityError


def test_a_record_under_a_fork_is_no_head_for_a_device_and_the_records_before_it_go_on() -> None:
    world = World()
    laptop, phone = born(world)
    cloud = Cloud(world, laptop.log, (), key("state-0"))
    cloud.upload("a.age")
    good = cloud.records
    phone.append(a_grant(2))
    laptop.append(a_grant(1))
    laptop.advance()
    cloud.refresh(phone.log)
    cloud.upload("b.age")
    assert not laptop.log.holds(cloud.log.head)
    with pytest.raises(AuthorityError) as caught:
        fold_journal(laptop.log, cloud.records)
    assert caught.value.rule == "journal-head"
    phone.catch_up(laptop.branch)
    phone.advance()
    again = Cloud(world, phone.log, good, key("state-0"))
    again.ask(a_request(max(phone.log.grants), 1), key("holder").public)
    for _ in range(5):
        again.step()
    assert len(world.effects) == 1
