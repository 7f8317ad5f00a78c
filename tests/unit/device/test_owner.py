"""A new owner: its id is the digest of its inception, and the paper opens what the inception committed to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.support.people import refused
from waykeep.authority import access, dsse, keys, ownerlog
from waykeep.authority.keys import SigningKey
from waykeep.authority.statements import INCEPTION_TYPE, Inception
from waykeep.device import owner
from waykeep.formats import agefile
from waykeep.formats.ids import owner_id, sha256
from waykeep.formats.wire import decode_json

NOW_MS = 1_466_380_800_000
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def counting() -> Callable[[int], bytes]:
    numbers: Iterator[int] = iter(range(1, 256))
    return lambda count: bytes([next(numbers)]) * count


MADE = owner.create("phone", NOW_MS, counting())
SECRETS, PAPER = MADE.secrets, MADE.paper
OPENED = dsse.peek(MADE.inception, INCEPTION_TYPE)
INCEPTION = decode_json(OPENED.payload, Inception)


def test_the_id_is_the_digest_of_the_inception() -> None:
    assert SECRETS.owner == owner_id(OPENED.payload)
    access.register(SECRETS.owner, MADE.inception)
    assert MADE.inception == MADE.entries[0]
    assert INCEPTION.authority == SECRETS.authority_key.public == OPENED.signer


def test_the_control_commitment_opens_with_its_salt() -> None:
    control = SigningKey(SECRETS.control).public
    assert keys.commitment(SECRETS.control_salt, control) == INCEPTION.control
    assert keys.commitment(bytes(16), control) != INCEPTION.control


def test_the_paper_opens_the_commitments_to_the_next_keys() -> None:
    rotating = keys.rotating_secret(PAPER.rotating)
    authority = SigningKey(keys.derive(rotating, "next-authority"))
    control = SigningKey(keys.derive(rotating, "next-control"))
    salt = keys.derive(rotating, "next-control-salt")[:16]
    assert keys.key_digest(authority.public) == INCEPTION.next_authority
    assert keys.commitment(salt, control.public) == INCEPTION.next_control


def test_nothing_on_the_device_makes_the_next_keys() -> None:
    held = [SECRETS.authority, SECRETS.control, SECRETS.device, SECRETS.writer, SECRETS.control_salt * 2]
    rotating = keys.rotating_secret(PAPER.rotating)
    assert rotating not in held
    for secret in held:
        for seed in (secret, keys.derive(secret, "next-authority"), keys.derive(secret, "next-control")):
            assert keys.key_digest(SigningKey(seed).public) != INCEPTION.next_authority


def test_the_paper_opens_the_logs() -> None:
    assert agefile.recipient_of(PAPER.opening) == SECRETS.recovery_recipient
    assert PAPER.opening not in (SECRETS.logs[-1], SECRETS.queue, *SECRETS.epochs.values())


def test_the_log_names_device_writer_recipients_and_epoch() -> None:
    log = ownerlog.fold(ownerlog.begin(SECRETS.owner, MADE.entries[0]), MADE.entries[1:])
    assert list(log.devices) == [SECRETS.device_key.public]
    assert list(log.writers) == [SECRETS.writer_key.public]
    assert log.log_recipients() == (agefile.recipient_of(SECRETS.logs[-1]), SECRETS.recovery_recipient)
    assert log.epochs[1].statement == sha256(MADE.epoch)
    assert log.epochs[1].recipient == agefile.recipient_of(SECRETS.epochs["1"])
    assert (log.state_keys, log.approvals) == ({}, {})


def test_the_host_takes_its_statements() -> None:
    listed = access.key_list(SECRETS.owner, MADE.inception, MADE.key_list, 1)
    assert (listed.devices, listed.writers) == ((SECRETS.device_key.public,), (SECRETS.writer_key.public,))
    epoch = access.epoch(SECRETS.owner, INCEPTION.authority, MADE.epoch, 1)
    assert epoch.expires_ms == NOW_MS + owner.EPOCH_LIFE_MS


def test_the_statements_hold_no_secret() -> None:
    public = b"".join((*MADE.entries, MADE.key_list, MADE.epoch))
    for secret in (SECRETS.logs[-1], SECRETS.queue, PAPER.opening, PAPER.rotating, *SECRETS.epochs.values()):
        assert secret.encode() not in public


def test_no_two_owners_share_a_key() -> None:
    one, other = (owner.create("phone", NOW_MS, os.urandom) for _ in range(2))
    assert one.secrets.owner != other.secrets.owner
    of_each = [
        {s.authority, s.control, s.control_salt, s.device, s.writer, *s.logs, s.queue, s.epochs["1"]}
        for s in (one.secrets, other.secrets)
    ]
    assert [len(held) for held in of_each] == [8, 8]
    assert not of_each[0] & of_each[1]


# -- the rotating secret, as it is written on paper --------------------------------------------------------------------


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, bytes(range(32))])
def test_a_rotating_secret_goes_to_paper_and_back(secret: bytes) -> None:
    assert keys.rotating_secret(keys.rotating_text(secret)) == secret
    assert keys.rotating_secret(f"  {keys.rotating_text(secret)}\n") == secret


@pytest.mark.parametrize("at", range(len(PAPER.rotating)))
def test_each_typo_of_one_character_is_refused(at: int) -> None:
    before, letter, after = PAPER.rotating[:at], PAPER.rotating[at], PAPER.rotating[at + 1 :]
    others = set(ALPHABET + "0189- " + letter.lower()) - {letter}
    typos = [before + other + after for other in others]
    typos += [before + after, before + letter * 2 + after]
    typos += [before + after[0] + letter + after[1:]] if after and after[0] != letter else []
    for typo in typos:
        if typo.strip() == PAPER.rotating:
            continue  # a space beside it is no typo
        with refused("rotating-secret-malformed", "authority"):
            keys.rotating_secret(typo)


@pytest.mark.parametrize("text", ["", "WAYKEEP-ROTATE-1-", PAPER.opening, PAPER.rotating.lower(), "é" * 70])
def test_what_is_no_rotating_secret(text: str) -> None:
    with refused("rotating-secret-malformed", "authority"):
        keys.rotating_secret(text)
