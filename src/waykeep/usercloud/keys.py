"""The keys that a device hands over: checked against the owner log before anything is done with them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import msgspec

from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerlog import OwnerState
from waykeep.channel import trust
from waykeep.channel.trust import Trust
from waykeep.errors import UserCloudError
from waykeep.formats import agefile
from waykeep.formats.messages import Unlock
from waykeep.vault.objects import Journal, Reader, Store
from waykeep.vault.segments import EpochKey


class Keys(msgspec.Struct, frozen=True):
    """What the device handed over; only `take_over` builds one."""

    reader: Reader
    epochs: dict[int, EpochKey]
    trust: Trust
    journal: Journal


def take_over(
    asked: Unlock, log: OwnerState, store: Store, state_key: SigningKey, before: Mapping[int, EpochKey]
) -> Keys:
    """Check what a verified request hands over.

    Args:
        before: Epoch keys that were handed over earlier, and stay.

    Raises:
        UserCloudError: ``log-secret-mismatch``, ``epoch-secret-mismatch``, ``epoch-unknown``.
        AuthorityError: ``log-recipients``, and those of an epoch statement.
    """
    reader = Reader(store, log.owner, asked.log_secret)
    recipients = log.log_recipients()
    if agefile.recipient_of(asked.log_secret) != recipients[0]:
        raise UserCloudError("log-secret-mismatch", "found a log secret that the owner log does not name", status=403)
    epochs, statements = dict(before), reader.epochs(log)
    for text, secret in asked.epochs.items():
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
        if number not in statements:
            raise UserCloudError("epoch-unknown", "found a secret of an epoch that the owner log does not name")
        if agefile.recipient_of(secret) != statements[number].recipient:
            raise UserCloudError("epoch-secret-mismatch", f"found a secret that is not epoch {number}'s", status=403)
        epochs[number] = EpochKey(number, secret, statements[number].recipient)
    written = Journal(store, log.owner, state_key, recipients, secrets.token_bytes)
    return Keys(reader, epochs, trust.from_message(asked.appraisal), written)


def locked() -> UserCloudError:
    """The refusal of a user cloud that was handed no keys yet."""
    return UserCloudError(
        "locked", "found no keys: this user cloud was started and not unlocked yet", hint="unlock it", status=409
    )
