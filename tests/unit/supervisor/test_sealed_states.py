"""A node opens a sealed state for the process of that owner and code which it forked itself, and for no other."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from tests.unit.supervisor.puppets import ALGORITHM_CODE, ANNA, BERT, CLOUD_CODE, Puppet, patiently, signer, stage
from waykeep.attestation.evidence import ALGORITHM, USER_CLOUD
from waykeep.authority import sealing
from waykeep.authority.sealing import MAX_SEALED, ROOM_FOR_HEADERS, Sealed, SealedState
from waykeep.formats import agefile
from waykeep.formats.frames import OpenSealed
from waykeep.formats.ids import OwnerId, sha256
from waykeep.formats.messages import Appraisal, Head
from waykeep.formats.wire import encode_frame
from waykeep.supervisor.kept import node_key

HEAD = Head(7, sha256(b"head"))


def sealed_to(
    node: str,
    *,
    owner: OwnerId = ANNA,
    workload: str = USER_CLOUD,
    measurement: str = CLOUD_CODE,
    filling: int = 0,
) -> bytes:
    state = SealedState(bytes(32), ("AGE-SECRET-KEY-1",), {"1": "secret"}, Appraisal({}, b"x" * filling, b""))
    return sealing.seal(
        state, owner=owner, workload=workload, measurement=measurement, node=node, owner_head=HEAD, journal=None
    )


def within(data: bytes, secret: str) -> Sealed:
    return msgspec.msgpack.decode(agefile.open_(data, [secret], limit=MAX_SEALED, what="a file"), type=Sealed)


async def refused(puppet: Puppet, data: bytes, rule: str, status: int) -> None:
    """The process is told the rule, and can go on asking."""
    said = await puppet.tell("unseal", data=data.hex())
    assert said == {"family": "authority", "rule": rule, "status": status}
    assert "evidence" in await puppet.tell("evidence")


def test_a_sealed_state_is_opened_for_its_process() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            assert puppet.said["node"] == found.key.recipient
            data = sealed_to(found.key.recipient)
            said = await puppet.tell("unseal", data=data.hex())
            inside = within(data, found.key._secret)
            assert said == {"header": inside.header.hex(), "payload": inside.payload.hex()}
            # A new quote changes nothing of it.
            found.node.vouch_with(signer(found.key, bytes(31) + b"1"))
            assert await puppet.tell("unseal", data=data.hex()) == said

    patiently(work())


def test_two_owners_get_each_their_own_and_not_the_others() -> None:
    async def work() -> None:
        async with stage() as found:
            for owner, other in ((ANNA, BERT), (BERT, ANNA)):
                _, puppet = await found.launch(owner)
                assert "payload" in await puppet.tell("unseal", data=sealed_to(found.key.recipient, owner=owner).hex())
                await refused(puppet, sealed_to(found.key.recipient, owner=other), "sealed-owner", 403)

    patiently(work())


def test_an_algorithm_has_no_sealed_state() -> None:
    """Whatever the header says: of this bundle, of this workload, or of a user cloud."""

    async def work() -> None:
        async with stage() as found:
            puppet = await found.algorithm()
            for workload, measurement in ((ALGORITHM, ALGORITHM_CODE), (USER_CLOUD, CLOUD_CODE)):
                owner = OwnerId(sha256(found.path.encode()))
                data = sealed_to(found.key.recipient, owner=owner, workload=workload, measurement=measurement)
                await refused(puppet, data, "sealed-workload", 403)

    patiently(work())


def test_a_sealed_state_of_other_code_is_refused() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            for workload, measurement in (
                (USER_CLOUD, "measured-older-cloud"),
                (USER_CLOUD, ALGORITHM_CODE),
                (USER_CLOUD, ""),
                (ALGORITHM, CLOUD_CODE),
                (ALGORITHM, ALGORITHM_CODE),
            ):
                data = sealed_to(found.key.recipient, workload=workload, measurement=measurement)
                await refused(puppet, data, "sealed-measurement", 403)

    patiently(work())


def test_a_sealed_state_of_another_node_is_refused() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            await refused(puppet, sealed_to(agefile.generate()[1]), "sealed-node", 409)

    patiently(work())


def test_a_sealed_state_whose_header_names_another_node_is_refused() -> None:
    """Somebody who opened another node's file seals what lay in it to this node."""

    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            secret, recipient = agefile.generate()
            inside = msgspec.msgpack.encode(within(sealed_to(recipient), secret))
            await refused(puppet, agefile.seal(inside, [found.key.recipient]), "sealed-owner", 403)

    patiently(work())


def test_a_sealed_state_cut_anywhere_is_refused() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            data = sealed_to(found.key.recipient, filling=100_000)
            end_of_header = data.index(b"\n---")
            for cut in (0, 1, 30, end_of_header):
                await refused(puppet, data[:cut], "sealed-malformed", 409)
            for cut in (end_of_header + 10, 1000, 65_536, len(data) // 2, len(data) - 1):
                await refused(puppet, data[:cut], "sealed-node", 409)

    patiently(work())


def test_what_is_no_sealed_state_is_refused() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            here = [found.key.recipient]
            state = within(sealed_to(found.key.recipient), found.key._secret)
            changed = Sealed(state.header, state.payload.replace(b"secret", b"forged"))
            many = b"age-encryption.org/v1\n" + b"-> X25519 A\nAAAA\n" * 17 + b"--- mac\n"
            for data in (
                b"",
                os.urandom(1000),
                bytes(MAX_SEALED),
                b"age-encryption.org/v1\n" + bytes(MAX_SEALED - 22),
                many,
                many + bytes(MAX_SEALED - len(many)),
                agefile.seal(b"", here),
                agefile.seal(b"plain text", here),
                agefile.seal(msgspec.msgpack.encode(Sealed(b"{}", b"{}")), here),
                agefile.seal(msgspec.msgpack.encode(changed), here),
                bytes(MAX_SEALED + 1),
            ):
                await refused(puppet, data, "sealed-malformed", 409)

    patiently(work())


def test_a_sealed_state_of_a_mebibyte_is_opened() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            filling = (MAX_SEALED - ROOM_FOR_HEADERS - 3000) * 3 // 4
            data = sealed_to(found.key.recipient, filling=filling)
            assert MAX_SEALED - ROOM_FOR_HEADERS - 3000 < len(data) <= MAX_SEALED
            said = await puppet.tell("unseal", data=data.hex())
            assert len(said["payload"]) // 2 > filling
            await refused(puppet, data + bytes(MAX_SEALED - len(data)), "sealed-node", 409)

    patiently(work())


@pytest.mark.parametrize(
    "frame",
    [
        encode_frame(OpenSealed(bytes(MAX_SEALED + 1))),
        encode_frame({"type": "open-sealed", "data": b"", "owner": BERT}),
    ],
    ids=["over a mebibyte", "naming its owner itself"],
)
def test_a_request_that_is_none_ends_the_process(frame: bytes) -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            _, other = await found.launch(BERT)
            await puppet.tell("send", data=frame.hex())
            await puppet.gone()
            assert "evidence" in await other.tell("evidence")

    patiently(work())


def test_a_node_that_lost_its_key_opens_nothing_of_before(tmp_path: Path) -> None:
    async def work() -> None:
        before = node_key(tmp_path)
        data = sealed_to(before.recipient)
        async with stage(key=node_key(tmp_path)) as found:
            _, puppet = await found.launch()
            assert "payload" in await puppet.tell("unseal", data=data.hex())
        (tmp_path / "node-key").unlink()
        async with stage(key=node_key(tmp_path)) as found:
            _, puppet = await found.launch()
            assert puppet.said["node"] == found.key.recipient != before.recipient
            await refused(puppet, data, "sealed-node", 409)
            assert "payload" in await puppet.tell("unseal", data=sealed_to(found.key.recipient).hex())

    patiently(work())
