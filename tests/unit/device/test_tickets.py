"""Tickets: what a holder knows of a grant, and passing it on. What a user cloud would refuse is refused here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.people import refused
from tests.unit.authority.entries import HOLDER, RECIPIENT, granting
from tests.unit.builders import an_approval, key
from waykeep.authority import chains, introductions
from waykeep.authority.scopes import Scope
from waykeep.device import tickets
from waykeep.device.granting import columns_of
from waykeep.device.tickets import Ticket

OWNER, GRANT = granting("ticketing", runs=5)
TICKET = Ticket(tickets.VERSION, "http://127.0.0.1:1", OWNER.envelopes[GRANT].decode())
ANNE, BERT = key("anne"), key("bert")
LOOSE, LOOSE_GRANT = granting("settings", parameters={"exact": (False, True), "size": (1, 2, "1")})
SETTINGS = tickets.open_(Ticket(tickets.VERSION, "http://127.0.0.1:1", LOOSE.envelopes[LOOSE_GRANT].decode()))


def test_a_ticket_says_what_was_granted(tmp_path: Path) -> None:
    file = tmp_path / "ticket"
    file.write_bytes(tickets.write(TICKET))
    found = tickets.read(file)
    assert (found.owner, found.number, found.grant) == (OWNER.id, GRANT, OWNER.state.grants[GRANT])
    assert found.chain == chains.find(OWNER.state, GRANT, found.grant.algorithm, (), HOLDER.public)


def test_a_grant_is_passed_on_twice_and_the_user_cloud_finds_the_chain() -> None:
    first = tickets.pass_on(tickets.open_(TICKET), HOLDER, ANNE.public, RECIPIENT, Scope(), runs=3)
    second = tickets.pass_on(tickets.open_(first), ANNE, BERT.public, RECIPIENT, Scope(step_ms=1000), bits=7)
    found = tickets.open_(second)
    algorithm = found.grant.algorithm
    assert found.chain == chains.find(OWNER.state, GRANT, algorithm, second.links, BERT.public)
    assert (found.chain.budgets[-1].runs, found.chain.budgets[-1].bits) == (3, 7)
    shown = [said.encode() for said in second.introductions]
    assert introductions.introduced(OWNER.id, [HOLDER.public], shown) == BERT.public


@pytest.mark.parametrize("changes", [{"scope": Scope(to_ms=4_000_000_000_000)}, {"runs": 6}, {"bits": 10**6}], ids=str)
def test_a_holder_who_passes_on_more_than_they_have(changes: dict[str, Any]) -> None:
    with refused("link-widens", "authority"):
        tickets.pass_on(
            tickets.open_(TICKET),
            HOLDER,
            ANNE.public,
            RECIPIENT,
            **{"scope": Scope()} | changes,
        )


def test_of_the_values_of_a_ticket_those_that_are_named() -> None:
    assert tickets.only(SETTINGS, ["size=1"]) == {"exact": (False, True), "size": (1, "1")}
    assert tickets.only(SETTINGS, ["exact=TRUE", "size=2", "size=1"]) == {"exact": (True,), "size": (2, 1, "1")}
    assert tickets.only(SETTINGS, []) == SETTINGS.chain.scope.parameters


@pytest.mark.parametrize("setting", ["", "size", "size=3", "other=1", "exact=1"])
def test_setting_malformed(setting: str) -> None:
    with refused("setting-malformed", "device"):
        tickets.only(SETTINGS, ["size=1", setting])


def test_ticket_foreign() -> None:
    with refused("ticket-foreign", "device"):
        tickets.pass_on(tickets.open_(TICKET), ANNE, BERT.public, RECIPIENT, Scope())
    with refused("ticket-foreign", "device"):
        tickets.usable(tickets.open_(TICKET), ANNE.public)


def test_ticket_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with refused("ticket-missing", "device"):
            tickets.read(path)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"version":1,"host":"h","entry":"e","more":1}'], ids=range(4))
def test_ticket_malformed(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "ticket").write_bytes(data)
    with refused("ticket-malformed", "device"):
        tickets.read(tmp_path / "ticket")


def test_ticket_malformed_for_another_entry_or_version() -> None:
    owner = OWNER.again()
    owner.add(an_approval())
    for changes in ({"entry": owner.envelopes[-1].decode()}, {"version": 2}):
        with refused("ticket-malformed", "device"):
            tickets.open_(msgspec.structs.replace(TICKET, **changes))


def test_columns_of() -> None:
    assert columns_of("location") == ("location", ("ts_ms", "lat_e7", "lon_e7"))
    assert columns_of("location:zone,ts_ms") == ("location", ("zone", "ts_ms"))
    assert columns_of("battery") == ("battery", ("ts_ms", "level_pct", "status", "zone"))
    assert columns_of("derived/trips:start_ms") == ("derived/trips", ("start_ms",))


@pytest.mark.parametrize("text", ["location:speed", "location:ts_ms,", "derived/trips", "derived/trips:"])
def test_columns_unknown(text: str) -> None:
    with refused("columns-unknown", "device"):
        columns_of(text)
