"""Runs for others: recorded, witnessed, then done; and everything that must not be done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support import stages
from tests.support.grants import HOUR_MS, ROWS, Holder, choose, with_rows
from tests.support.people import SOME_DAY_MS, Person, points, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority.asking import Spend
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.records import Debited, Spent
from waykeep.authority.scopes import Scope
from waykeep.channel.client import AttestedClient
from waykeep.device import identity, revoking, tickets, witnesses
from waykeep.device.account import Account, now_ms
from waykeep.device.hostclient import HostClient
from waykeep.errors import WaykeepError
from waykeep.formats import agefile, answers, results
from waykeep.formats.ids import Digest
from waykeep.formats.messages import GrantedRows, SpendResult
from waykeep.formats.wire import MIB, decode_frame, decode_json, encode_json


@pytest.fixture(scope="module")
def stage() -> Iterator[Watched]:
    with stages.running() as found:
        yield found


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    with running_witness(tmp_path_factory.mktemp("witness"), tokens=20) as found:
        yield found


def owner(stage: Watched, witness: Witness | None, name: str) -> tuple[Person, Holder, Account]:
    person = Person(stage, name)
    device = person.account()
    with_rows(person, device)
    if witness is not None:
        choose(device, witness)
    return person, Holder(person), device


def test_a_holder_gets_rows_without_the_owner_and_wakes_the_user_cloud_for_it(stage: Watched, witness: Witness) -> None:
    person, holder, device = owner(stage, witness, "ada")
    with device:
        number = holder.granted(device)
        device.suspend()
    stage.forgets(person.owner)
    found = holder.use(number)
    assert found.rows == [{"rows": ROWS}]
    assert abs(found.receipt.time_ms - now_ms()) < HOUR_MS
    details = person.details()
    assert [type(detail) for detail in details[-2:]] == [Debited, Spent]
    with person.account() as again:
        held = again.witness.connected(again.log()).read().held
        # The debit is witnessed; what came of it will be with the next.
        assert held.journal is not None and held.journal.number == len(details) - 2
        assert again.status().spent == {str(number): (1, results.whole_bits(holder.bundle.manifest))}


def test_a_grant_has_as_many_runs_as_it_says(stage: Watched, witness: Witness) -> None:
    person, holder, device = owner(stage, witness, "ben")
    with device:
        number = holder.granted(device, runs=2)
        for _ in range(2):
            holder.use(number)
        with refused("runs-used-up", "authority"):
            holder.use(number)
    assert sum(isinstance(detail, Debited) for detail in person.details()) == 2


def test_two_requests_that_race_for_the_last_run(stage: Watched, witness: Witness) -> None:
    person, first, device = owner(stage, witness, "cleo")
    with device:
        number = first.granted(device, runs=1)
        outcomes: list[str] = []

        def ask(asking: Holder) -> None:
            try:
                asking.use(number)
                outcomes.append("done")
            except WaykeepError as error:
                outcomes.append(error.rule)

        second = Holder(person)
        second.file = second.file.with_suffix(".twin")
        second.file.write_bytes(first.file.read_bytes())
        second.tickets = first.tickets
        threads = [threading.Thread(target=ask, args=(each,)) for each in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(outcomes) == ["done", "runs-used-up"]


def test_the_same_request_again_is_the_same_run_on_the_same_data(stage: Watched, witness: Witness) -> None:
    person, holder, device = owner(stage, witness, "dan")
    with device:
        number = holder.granted(device, runs=1)
        holder.use(number)
        debited = next(detail for detail in person.details() if isinstance(detail, Debited))
        device.queue({"location": points(SOME_DAY_MS + 3_600_000, 7)}, "imported")
        device.upload()
        again = _repeat(holder, number, debited.request_id)
    assert again == [{"rows": ROWS}]
    assert sum(isinstance(detail, Debited) for detail in person.details()) == 1
    assert sum(isinstance(detail, Spent) for detail in person.details()) == 1


def _repeat(holder: Holder, number: int, request_id: str) -> list[dict[str, object]]:
    """Ask again with an id that was answered already."""
    found = _sent(holder, Spend(request_id, number, holder.bundle.digest, {"rounds": 0}))
    assert not found.failed
    return list(found.rows)


def _sent(holder: Holder, asked: Spend | bytes, introductions: tuple[str, ...] = ()) -> GrantedRows:
    """What comes of a request as it is."""
    said = asked if isinstance(asked, bytes) else encode_json(asked)
    person, signer = holder.person, holder.key.signer
    host = HostClient(person.stage.host_url, person.owner, signer)
    try:
        with AttestedClient(
            host.cloud(introductions),
            workload="user-cloud",
            binding=person.owner,
            trust=person.trust,
            clock=now_ms,
            signer=signer,
        ) as cloud:
            body = cloud.request("POST", "/v1/spends", said)
    finally:
        host.close()
    sealed = decode_json(body, SpendResult, limit=MIB, what="an answer").sealed
    plain = answers.unpad(agefile.open_(sealed, [holder.key.identity], limit=MIB, what="a result"))
    return decode_frame(plain, GrantedRows, limit=MIB, what="a result")


def test_the_same_request_again_where_an_epoch_that_it_read_is_not_at_hand(stage: Watched, witness: Witness) -> None:
    """It is not done on less."""
    person, holder, device = owner(stage, witness, "dora")
    with device:
        number = holder.granted(device, runs=1)
        holder.use(number)
        debited = next(detail for detail in person.details() if isinstance(detail, Debited))
        device.suspend(forget=True)
        stage.forgets(person.owner)
        secret = device.keys.secrets.epochs["1"]
        person.path("keys", "1.age").unlink()
        device.keys.change(lambda kept: msgspec.structs.replace(kept, epochs={}))
        assert device.status().epochs_missing == (1,)
        again = Spend(debited.request_id, number, holder.bundle.digest, {"rounds": 0})
        found = _sent(holder, again)
        assert found.failed and not found.rows
        device.keys.add_epoch(1, secret)
        identity.hand_over(device)
        assert _repeat(holder, number, debited.request_id) == [{"rows": ROWS}]


def test_a_request_id_that_comes_back_with_other_content(stage: Watched, witness: Witness) -> None:
    person, holder, device = owner(stage, witness, "eve")
    with device:
        number = holder.granted(device, runs=3)
        other = holder.granted(device, runs=3)
        holder.use(number)
        debited = next(detail for detail in person.details() if isinstance(detail, Debited))
        with refused("request-repeated", "authority"):
            _repeat(holder, other, debited.request_id)


def test_a_grant_that_was_taken_back(stage: Watched, witness: Witness) -> None:
    _, holder, device = owner(stage, witness, "finn")
    with device:
        number = holder.granted(device)
        holder.use(number)
        kept = holder.granted(device)  # so that the host still lets this key ask
        assert revoking.revoke(device, Withdrawn(number)).number is not None
        with refused("grant-withdrawn", "authority"):
            holder.use(number)
        revoking.revoke(device, Withdrawn(kept))
        with refused("holder-unlisted", "device"):
            holder.use(number)


@pytest.mark.parametrize(
    ("rule", "begins", "ends"), [("grant-not-yet", HOUR_MS, 2 * HOUR_MS), ("grant-expired", -2 * HOUR_MS, -HOUR_MS)]
)
def test_outside_the_window_of_the_witness_time(
    stage: Watched, witness: Witness, rule: str, begins: int, ends: int
) -> None:
    person, holder, device = owner(stage, witness, f"gus-{rule}")
    with device:
        number = holder.granted(device, not_before_ms=now_ms() + begins, until_ms=now_ms() + ends)
        with refused(rule, "authority"):
            holder.use(number)
    assert not [detail for detail in person.details() if isinstance(detail, Debited)]


def test_somebody_else_with_a_grant_of_their_own_cannot_use_another(stage: Watched, witness: Witness) -> None:
    person, holder, device = owner(stage, witness, "hal")
    with device:
        number = holder.granted(device)
        stranger = Holder(person, "stranger")
        stranger.granted(device)
        with refused("request-signature", "authority"):
            _repeat(stranger, number, "A" * 22)


def test_another_algorithm_or_parameter_than_granted(stage: Watched, witness: Witness) -> None:
    _, holder, device = owner(stage, witness, "ida")
    with device:
        with refused("algorithm-not-granted", "authority"):
            _sent(holder, Spend("A" * 22, holder.granted(device), Digest("sha256:" + "0" * 64), {"rounds": 0}))
        with refused("parameter-not-allowed", "authority"):
            holder.use(holder.granted(device), rounds=1)
        with refused("request-signature", "authority"):
            _repeat(holder, 1, "A" * 22)


def test_a_chain_of_a_thousand_links_and_fields_that_nobody_knows(stage: Watched, witness: Witness) -> None:
    person, holder, device = owner(stage, witness, "ian")
    with device:
        number = holder.granted(device)
        other = Holder(person, "other")
        made = tickets.pass_on(
            holder.tickets[number], holder.key.signer, other.key.signer.public, other.key.recipient, Scope()
        )
        other.tickets[number] = tickets.open_(made)
        asked = Spend("A" * 22, number, holder.bundle.digest, {"rounds": 0}, links=made.links * 1000)
        with refused("chain-too-long", "authority"):
            _sent(other, asked, made.introductions)
        unknown = encode_json({**msgspec.to_builtins(Spend("A" * 22, number, None, {})), "speed": 1})
        deeper = encode_json({**msgspec.to_builtins(Spend("A" * 22, number, None, {})), "ask": {"speed": 1}})
        for body in (unknown, deeper):
            with refused("malformed", "format"):
                _sent(other, body, made.introductions)
        assert other.use(number).rows == [{"rows": ROWS}]


def test_without_a_witness_nothing_is_done_for_others_unless_the_owner_accepts(stage: Watched) -> None:
    person, holder, device = owner(stage, None, "jo")
    with device:
        number = holder.granted(device)
        with refused("witness-missing", "authority"):
            holder.use(number)
        assert not [detail for detail in person.details() if isinstance(detail, Debited)]
        witnesses.waive(device)
        assert holder.use(number).rows == [{"rows": ROWS}]


def test_a_witness_that_is_down_stops_spends_and_nothing_else(stage: Watched, tmp_path: Path) -> None:
    with running_witness(tmp_path) as witness:
        person, holder, device = owner(stage, witness, "kim")
        with device:
            number = holder.granted(device)
            witness.kill()
            with refused("witness-unreachable", "channel"):
                holder.use(number)
            assert not [detail for detail in person.details() if isinstance(detail, Debited)]
            assert device.rows("location", 0, 4_000_000_000_000).num_rows == ROWS
            witness.start()
            assert holder.use(number).rows == [{"rows": ROWS}]
