"""Grants at work over real processes: sharing with a person, passing on, withholding, stopping what is under way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support import algorithms, stages
from tests.support.grants import ROWS, WINDOW, Holder, choose, with_rows
from tests.support.people import SOME_DAY_MS, Person, refused
from tests.support.program import waykeep
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority.areas import Area
from waykeep.authority.asking import Ask
from waykeep.authority.permissions import HolderRevoked, Lifted, LinkRevoked, Withdrawn, Withheld
from waykeep.authority.records import Debited, Spent
from waykeep.authority.scopes import Scope
from waykeep.device import granting, holder, revoking, tickets
from waykeep.device.account import Account, now_ms
from waykeep.device.granting import To
from waykeep.device.importers import emission
from waykeep.device.scoping import Terms
from waykeep.device.usage import LOOK, OWN, usage
from waykeep.errors import AuthorityError, DeviceError, FormatError, WaykeepError
from waykeep.formats import grid, streams
from waykeep.formats.messages import SpendResult
from waykeep.formats.wire import decode_json

DAY_MS = 86_400_000
EVER = (streams.MIN_TS_MS, streams.MAX_TS_MS)
RECORDINGS = Path(__file__).parents[1] / "vectors" / "emission"


@pytest.fixture(scope="module")
def stage() -> Iterator[Watched]:
    with stages.running() as found:
        yield found


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    with running_witness(tmp_path_factory.mktemp("witness"), tokens=30) as found:
        yield found


def owner(stage: Watched, witness: Witness, name: str) -> tuple[Person, Holder, Account]:
    person = Person(stage, name)
    device = person.account()
    with_rows(person, device)
    choose(device, witness)
    return person, Holder(person), device


def shared(who: Holder, device: Account, rows: int = 100, **terms: Any) -> int:
    """Let a holder see locations; the grant's number."""
    to = To(who.key.signer.public, who.key.recipient, 20, deadline_ms=400)
    said = Terms(**{"first": "2016-06-20", "after": "2016-06-21", "until": "2090-01-01"} | terms)
    grant = granting.propose_read(to, said, dict([granting.columns_of("location")]), rows)
    number = granting.give(device, grant, again=True)
    who.take(device, number)
    return number


def look(who: Holder, number: int, **ask: Any) -> list[dict[str, Any]]:
    found = holder.use(who.file, who.tickets[number], who.person.trust, now_ms, ask=Ask(**ask), parameters={})
    return list(found.tables["location"].to_pylist())


# -- sharing with a person ---------------------------------------------------------------------------------------------


def test_a_friend_sees_rows_as_coarse_as_they_were_shared(stage: Watched, witness: Witness) -> None:
    _, friend, device = owner(stage, witness, "ada")
    with device:
        exact = device.rows("location", *WINDOW)
        number = shared(friend, device, precision="500", times="15m")
        seen = look(friend, number)
        level = grid.level_of(500)
        lat, lon = grid.places(*(exact.column(n).to_numpy().astype("int64") for n in ("lat_e7", "lon_e7")), level)
        times = [ts // 900_000 * 900_000 for ts in exact.column("ts_ms").to_pylist()]
        expected = sorted(zip(times, lat.tolist(), lon.tolist(), strict=True))
        assert [(row["ts_ms"], row["lat_e7"], row["lon_e7"]) for row in seen] == expected
        assert look(friend, shared(friend, device, rows=7))[-1]["ts_ms"] == exact.column("ts_ms").to_pylist()[-1]
        assert len(look(friend, shared(friend, device, rows=7))) == 7, "the newest"
        with refused("precision-not-allowed", "authority"):
            look(friend, number, level=level - 1)
        with refused("column-not-allowed", "authority"):
            look(friend, number, streams={"location": ("ts_ms", "speed_cm_s")})
        with refused("stream-not-allowed", "authority"):
            look(friend, number, streams={"battery": ("ts_ms",)})
        with refused("time-not-allowed", "authority"):
            look(friend, number, from_ms=SOME_DAY_MS - 1)
        assert look(friend, number, level=24)[0]["lat_e7"] != seen[0]["lat_e7"]


def test_only_the_last_day_moves_on_with_time(stage: Watched, witness: Witness) -> None:
    """All rows are of 2016."""
    _, friend, device = owner(stage, witness, "ben")
    with device:
        number = shared(friend, device, first="", after="", last="1d")
        assert look(friend, number) == []


# -- passing on --------------------------------------------------------------------------------------------------------


def passed_on(by: Holder, to: Holder, number: int, scope: Scope | None = None, **changes: Any) -> None:
    made = tickets.pass_on(
        by.tickets[number], by.key.signer, to.key.signer.public, to.key.recipient, scope or Scope(), **changes
    )
    to.tickets[number] = tickets.open_(made)


def test_a_chain_of_three_wakes_the_user_cloud_and_shares_what_is_left(stage: Watched, witness: Witness) -> None:
    person, first, device = owner(stage, witness, "cleo")
    second, third, fourth = (Holder(person, name) for name in ("second", "third", "fourth"))
    with device:
        number = first.granted(device, runs=3)
        passed_on(first, second, number, runs=2)
        passed_on(second, third, number, Scope(to_ms=SOME_DAY_MS + 10_000))
        passed_on(second, fourth, number, runs=1)
        device.suspend()
        stage.forgets(person.owner)
        few = third.use(number).rows
        assert 0 < few[0]["rows"] < ROWS
        assert fourth.use(number).rows == [{"rows": ROWS}]
        with refused("runs-used-up", "authority"):
            fourth.use(number)
        with refused("runs-used-up", "authority"):
            third.use(number)
        assert first.use(number).rows == [{"rows": ROWS}], "the one that was not passed on"
        with refused("runs-used-up", "authority"):
            first.use(number)
        (line,) = granting.listed(device)
        assert line.used == 3


def test_a_link_that_was_revoked_and_a_holder(stage: Watched, witness: Witness) -> None:
    person, first, device = owner(stage, witness, "dan")
    second, third = Holder(person, "second"), Holder(person, "third")
    with device:
        number = first.granted(device, runs=9)
        passed_on(first, second, number)
        passed_on(first, third, number)
        keys = [each.key.signer.public for each in (first, second, third)]
        assert revoking.revoke(device, LinkRevoked(number, keys[0], keys[1])).number is not None
        with refused("link-barred", "authority"):
            second.use(number)
        third.use(number)
        revoking.revoke(device, HolderRevoked(keys[2]))
        with refused("link-barred", "authority"):
            third.use(number)
        first.use(number)


# -- withholding -------------------------------------------------------------------------------------------------------


def test_what_is_withheld_is_in_no_run_and_no_look_until_it_is_lifted(stage: Watched, witness: Witness) -> None:
    _, friend, device = owner(stage, witness, "eve")
    with device:
        code = algorithms.approve(device, algorithms.slow(), *WINDOW)
        given, seen = friend.granted(device, runs=9), shared(friend, device)
        half = SOME_DAY_MS + 25 * 1000
        times = device.rows("location", *WINDOW).column("ts_ms").to_pylist()
        before = sum(ts < half for ts in times)
        assert 0 < before < ROWS
        taken = revoking.revoke(device, Withheld(half, None, None, "since then")).number
        assert taken is not None
        assert device.run(code.algorithm, {"rounds": 0}).rows == [{"rows": before}]
        assert friend.use(given).rows == [{"rows": before}]
        assert len(look(friend, seen)) == before
        with refused("data-withheld", "authority"):
            look(friend, seen, from_ms=half)
        assert len(device.rows("location", *WINDOW)) == ROWS, "its owner sees it all the same"
        revoking.revoke(device, Lifted(taken))
        assert friend.use(given).rows == [{"rows": ROWS}]


def test_a_trip_is_withheld_by_a_minute_of_it(stage: Watched, witness: Witness) -> None:
    person = Person(stage, "fay")
    with person.account() as device:
        with refused("trip-unknown", "device"):
            revoking.trip_at(device, SOME_DAY_MS)
        device.queue(emission.read((RECORDINGS / "shankari_2016-06-20.json").read_bytes()).tables, "imported")
        device.upload()
        code = algorithms.approve(device, algorithms.shipped("trips"), *WINDOW, store="trips")
        trips = device.run(code.algorithm, {}).rows
        trip = trips[1]
        span = (int(trip["start_ms"]), int(trip["end_ms"]) + 1)
        assert revoking.trip_at(device, (span[0] + span[1]) // 2) == span
        with refused("trip-unknown", "device"):
            revoking.trip_at(device, WINDOW[0] + 60_000)
        line = revoking.withholding(*span, None, "that one")
        number = revoking.revoke(device, line).number
        left = device.run(code.algorithm, {}).rows
        # That the places before and after it differ it still shows, and bridges the gap.
        assert trip not in left and all(not span[0] <= int(each["start_ms"]) < span[1] for each in left)
        # Also out of what was kept before it was withheld, for everybody but their owner.
        found, archive = algorithms.reader("derived/trips", "start_ms")
        friend = Holder(person)
        device.host.put_bundle(found.digest, archive)
        choose(device, witness)
        given = friend.granted(device, algorithm=found.digest, streams={"derived/trips": ("start_ms",)}, parameters={})

        def use() -> holder.Got:
            return holder.use(friend.file, friend.tickets[given], person.trust, now_ms, ask=Ask(), parameters={})

        assert use().rows == [{"rows": len(left)}], "the newest result, which was made without it"
        # Where the owner withholds more, that one tells of it, and nothing is left that was made without.
        assert number is not None and revoking.revoke(device, revoking.withholding(span[1], None, None, "more")).number
        with refused("run-failed", "device"):
            use()


def test_withholding_empty() -> None:
    with refused("withholding-empty", "device"):
        revoking.withholding(None, None, None, "everything")


# -- storing back ------------------------------------------------------------------------------------------------------


def test_a_result_is_kept_in_the_owners_vault_if_grant_and_links_say_so(stage: Watched, witness: Witness) -> None:
    person, study, device = owner(stage, witness, "gil")
    second = Holder(person, "second")
    with device:
        number = study.granted(device, runs=3, store_as="derived/counted")
        passed_on(study, second, number, Scope(stores=False))
        with refused("stream-empty", "vault"):
            device.rows("derived/counted", *EVER)
        second.use(number)
        with refused("stream-empty", "vault"):
            device.rows("derived/counted", *EVER)
        study.use(number)
        assert device.rows("derived/counted", *EVER).to_pylist() == [{"rows": ROWS}]
        kept = [detail.stored for detail in person.details() if isinstance(detail, Spent)]
        assert [line is not None for line in kept] == [False, True]


# -- deadlines and lengths ---------------------------------------------------------------------------------------------


def test_every_answer_comes_at_the_deadline_and_in_one_length(
    stage: Watched, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that finds rows, one that finds none, and one that fails."""
    person, study, device = owner(stage, witness, "finn")
    lengths, took = list[int](), list[float]()

    def noted(body: bytes, kind: Any, **given: Any) -> Any:
        found = decode_json(body, kind, **given)
        if kind is SpendResult:
            # The header of an age file holds a stanza of random length; what is encrypted follows its last line.
            lengths.append(len(found.sealed.partition(b"\n---")[2]))
        return found

    monkeypatch.setattr(holder, "decode_json", noted)
    fails = algorithms.slow("fail", b"def run(tables, parameters):\n    return [{'rows': -1}]\n")
    with device:
        whole = study.granted(device, deadline_ms=2500)
        none = study.granted(device, deadline_ms=2500, from_ms=WINDOW[0] - DAY_MS, to_ms=WINDOW[0])
        device.host.put_bundle(fails[0].digest, fails[1])
        failing = study.granted(device, deadline_ms=2500, algorithm=fails[0].digest)
        gotten = [study.use(whole)]  # nothing waits for a first start
        for number in (whole, none, failing):
            started = time.monotonic()
            if number == failing:
                with refused("run-failed", "device"):
                    study.use(number)
            else:
                gotten.append(study.use(number))
            took.append(time.monotonic() - started)
    assert len(set(lengths)) == 1
    told = [got.receipt for got in gotten]
    assert all(receipt.rows_in == {} and receipt.epochs_missing == () for receipt in told)
    whole_words, none_words = (msgspec.structs.asdict(receipt) for receipt in told[-2:])
    varying = {"run_id", "approval", "from_ms", "to_ms", "result", "time_ms", "owner_head", "measurements"}
    assert {name for name in whole_words if whole_words[name] != none_words[name]} <= varying, "no second answer"
    assert all(2.5 <= each < 4.5 for each in took), took
    assert [detail.failed for detail in person.details() if isinstance(detail, Spent)] == ["", "", "", "result-range"]


def test_a_run_that_takes_longer_than_the_deadline_is_stopped(stage: Watched, witness: Witness) -> None:
    person, study, device = owner(stage, witness, "gus")
    with device:
        number = study.granted(device, deadline_ms=1000, parameters={"rounds": (algorithms.FOR_EVER,)})
        with refused("run-failed", "device"):
            study.use(number, rounds=algorithms.FOR_EVER)
        _nothing_runs(stage)
        assert [detail.failed for detail in person.details() if isinstance(detail, Spent)] == ["run-late"]


# -- taken back while it runs ------------------------------------------------------------------------------------------


def _nothing_runs(stage: Watched) -> None:
    deadline = time.monotonic() + 5
    while stage.services():
        assert time.monotonic() < deadline, "an algorithm service runs on"
        time.sleep(0.02)


def _while_running(stage: Watched, ask: Any, then: Any) -> str:
    """The rule by which a request ends that was under way when ``then`` was done."""
    ended: list[str] = []

    def asking() -> None:
        try:
            ask()
            ended.append("done")
        except WaykeepError as error:
            ended.append(error.rule)

    thread = threading.Thread(target=asking)
    thread.start()
    deadline = time.monotonic() + 10
    while not stage.services():
        assert time.monotonic() < deadline and thread.is_alive()
        time.sleep(0.01)
    time.sleep(0.3)
    then()
    thread.join(20)
    assert not thread.is_alive()
    return ended[0]


def test_a_run_under_way_is_stopped_when_its_grant_is_taken_back(stage: Watched, witness: Witness) -> None:
    _, study, device = owner(stage, witness, "hal")
    with device:
        number = study.granted(device, deadline_ms=20_000, parameters={"rounds": (algorithms.FOR_EVER,)})
        started = time.monotonic()
        ended = _while_running(
            stage,
            lambda: study.use(number, rounds=algorithms.FOR_EVER),
            lambda: revoking.revoke(device, Withdrawn(number)),
        )
        assert ended == "grant-withdrawn" and time.monotonic() - started < 15
        _nothing_runs(stage)


def test_an_owners_run_under_way_is_stopped_when_its_approval_is_taken_back(stage: Watched, witness: Witness) -> None:
    person, _, device = owner(stage, witness, "ida")
    with device:
        code = algorithms.approve(device, algorithms.slow(), *WINDOW)
        (number,) = device.log().approvals
        other = person.account()
        ended = _while_running(
            stage,
            lambda: other.run(code.algorithm, {"rounds": algorithms.FOR_EVER}),
            lambda: revoking.revoke(device, Withdrawn(number)),
        )
        other.close()
        assert ended == "approval-withdrawn"
        _nothing_runs(stage)


def test_what_is_withheld_while_a_run_is_under_way_is_not_given(stage: Watched, witness: Witness) -> None:
    _, study, device = owner(stage, witness, "jo")
    with device:
        number = study.granted(device, deadline_ms=8_000, parameters={"rounds": (algorithms.A_WHILE,)})
        line = Withheld(SOME_DAY_MS, SOME_DAY_MS + 5000, None, "")
        ended = _while_running(
            stage, lambda: study.use(number, rounds=algorithms.A_WHILE), lambda: revoking.revoke(device, line)
        )
        assert ended == "request-outdated"


def test_an_entry_that_nobody_could_read_does_not_wait_on_the_device(stage: Watched, witness: Witness) -> None:
    """It would stand in the way of every entry after it."""
    _, friend, device = owner(stage, witness, "mia")
    with device:
        number = shared(friend, device)
        grant, before = device.log().grants[number], device.log().head
        wide = tuple(
            Area(cells=tuple(f"{n:015x}" for n in range(first, first + 900))) for first in (0, 1000, 2000, 3000)
        )
        large = msgspec.structs.replace(grant.scope, areas=wide)
        for body in (
            msgspec.structs.replace(grant, deadline_ms=10**9),
            msgspec.structs.replace(grant, purpose="x" * 300),
            msgspec.structs.replace(grant, scope=large),
        ):
            with pytest.raises(FormatError):
                device.owner_log.append(body)
        assert device.log().head == before and not device.owner_log._pending.items()


# -- who used my data --------------------------------------------------------------------------------------------------


def test_who_used_my_data_by_algorithm_holder_and_stream(stage: Watched, witness: Witness) -> None:
    person, study, device = owner(stage, witness, "lea")
    friend = Holder(person, "friend")
    own = ("--home", str(person.folder.path), "--key-file", str(person.key_file))
    with device:
        code = algorithms.approve(device, algorithms.slow(), *WINDOW)
        device.run(code.algorithm, {"rounds": 0})
        number = study.granted(device)
        study.use(number)
        look(friend, shared(friend, device, precision="500", times="15m"))
        (debit, _) = [detail for detail in person.details() if isinstance(detail, Debited)]
        by_algorithm = {use.of: use for use in usage(device, "algorithm")}
        assert {of: (use.times, use.rows_read, use.rows_given) for of, use in by_algorithm.items()} == {
            code.algorithm: (2, 2 * ROWS, 2),
            LOOK: (1, ROWS, ROWS),
        }
        assert by_algorithm[code.algorithm].bits == debit.bits
        by_holder = {use.of: use for use in usage(device, "holder")}
        assert set(by_holder) == {OWN, study.key.signer.public, friend.key.signer.public}
        assert by_holder[OWN].bits == 0 and by_holder[friend.key.signer.public].level == grid.level_of(500)
        (stream,) = usage(device, "stream")
        assert (stream.of, stream.times, stream.rows_read, len(stream.receipts)) == ("location", 3, 3 * ROWS, 3)
        assert stream.level == 0, "the finest"
    said = waykeep("audit", "--by", "holder", *own, environment={"COLUMNS": "160"}).stdout
    assert "your own devices" in said and "730 m; 15" in said and "exact; exact" in said
    assert "3 signed receipts" in said
    told = json.loads(waykeep("audit", "--by", "stream", *own, "--json").stdout)
    assert told[0]["rows_read"] == 3 * ROWS and len(told[0]["receipts"]) == 3


def stages_options() -> tuple[str, ...]:
    return () if stages.ROOT else ("--shared-uid",)


# -- the command line --------------------------------------------------------------------------------------------------


def test_sharing_narrowing_withholding_as_people_do(stage: Watched, witness: Witness, tmp_path: Path) -> None:
    person, friend, device = owner(stage, witness, "kim")
    device.close()
    own = ("--home", str(person.folder.path), "--key-file", str(person.key_file))
    other, keys = Holder(person, "other"), [friend.key.signer.public]
    to = (f"--holder={friend.key.signer.public}", "--recipient", friend.key.recipient)
    mine, theirs = tmp_path / "mine.ticket", tmp_path / "theirs.ticket"
    terms = ("--precision=500", "--times=15m", "--until=2090-01-01", "--purpose=so that you know where I am")
    said = waykeep("grant", "share", "location", *to, *terms, "--deadline=400ms", "-o", str(mine), *own).stdout
    assert "places to about 730 m, times to 15 minutes" in said and "so that you know where I am" in said
    assert "1,000 times in all, until 2090-01-01 UTC" in said and "your name can be found" in said
    narrow = (
        "grant",
        "narrow",
        str(mine),
        "--file",
        str(friend.file),
        "-o",
        str(theirs),
        "--precision=2km",
        "--runs=1",
    )
    told = waykeep(*narrow, f"--holder={other.key.signer.public}", "--recipient", other.key.recipient).stdout
    assert "places to about 2.9 km" in told and "1 runs, shared with you" in told
    rows = tmp_path / "rows.parquet"
    use = ("grant", "use", str(theirs), "--file", str(other.file), f"--trust-insecure-root={stage.root}")
    seen = json.loads(waykeep(*use, *stages_options(), "-o", str(rows), "--json").stdout)
    assert len(seen["tables"]["location"]) == ROWS and rows.read_bytes()[:4] == b"PAR1"
    one = ("--stream", "location:ts_ms", "--from", "2016-06-20")
    few = waykeep("grant", "use", str(mine), "--file", str(friend.file), *use[-1:], *stages_options(), *one).stderr
    assert "time-not-allowed" not in few and "The answer comes 400 ms after the run began" in few
    until = waykeep("grant", "list", *own).stdout
    assert "998 of 1000" in until and "2090-01-01" in until
    words = ("--from=2016-06-20", "--to=2016-06-20T08:00", "--words=the night")
    assert "Withheld, as entry" in waykeep("grant", "withhold", *words, *own).stdout
    assert "“the night”, from 2016-06-20 00:00" in waykeep("grant", "list", *own).stdout
    listed = json.loads(waykeep("grant", "list", *own, "--json").stdout)
    (number,) = listed["withheld"]
    assert "Lifted" in waykeep("grant", "lift", number, *own).stdout
    assert "Taken back" in waykeep("grant", "revoke", "--all", *own).stdout
    for wrong, rule in [
        (("revoke",), "revoke-what"),
        (("revoke", "7", "--all"), "revoke-what"),
        (("revoke", "--link", "7", keys[0]), "link-malformed"),
        (("withhold",), "withholding-empty"),
        (("share", "location", *to, "--until=2090-01-01", "--rows=0"), "rows-malformed"),
        (("share", "location", *to, "--until=2090-01-01", "--deadline=11m"), "deadline-malformed"),
        (("withhold", "--from=2016-06-20T25:00"), "date-malformed"),
        (("withhold", "--from=2016-06-21", "--to=2016-06-20"), "window-empty"),
        (("lift", "1"), "log-unknown"),
    ]:
        code = AuthorityError.exit_code if rule == "log-unknown" else DeviceError.exit_code
        assert f"error: {rule}" in waykeep("grant", *wrong, *own, code=code).stderr
    with person.account() as again:
        assert not again.log().grants and not again.log().withheld
