"""The keys that a device hands over: checked against the owner log before anything is done with them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import msgspec

from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.channel import trust
from waykeep.channel.trust import Trust
from waykeep.errors import UserCloudError
from waykeep.formats import agefile
from waykeep.formats.messages import Unlock
from waykeep.vault.objects import Journal, Reader
from waykeep.vault.segments import EpochKey


class Keys(msgspec.Struct, frozen=True):
    """What the device handed over; only `take_over` builds one.

    ``handed`` is the message as it came, to be sealed for the time of sleep.
    """

    reader: Reader
    epochs: dict[int, EpochKey]
    trust: Trust
    journal: Journal
    handed: Unlock

    def __repr__(self) -> str:
        return "Keys(...)"


def take_over(
    asked: Unlock, log: OwnerState, reader: Reader, state_key: SigningKey, before: Mapping[int, EpochKey]
) -> Keys:
    """Check what a verified request, or a sealed state, hands over.

    Args:
        reader: Of the owner's logs, with the log secrets that are handed over.
        before: Epoch keys that were handed over earlier, and stay.

    Raises:
        UserCloudError: ``log-secret-mismatch``, ``epoch-secret-mismatch``, ``epoch-unknown``.
        AuthorityError: ``log-recipients``, and those of an epoch statement.
    """
    recipients = log.log_recipients()
    if agefile.recipient_of(asked.log_secrets[-1]) != recipients[0]:
        raise UserCloudError("log-secret-mismatch", "found a log secret that the owner log does not name", status=403)
    epochs, statements = dict(before), reader.epochs(log)
    for text, secret in asked.epochs.items():
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
        if number not in statements:
            raise UserCloudError("epoch-unknown", "found a secret of an epoch that the owner log does not name")
        if agefile.recipient_of(secret) != statements[number].recipient:
            raise UserCloudError("epoch-secret-mismatch", f"found a secret that is not epoch {number}'s", status=403)
        epochs[number] = EpochKey(number, secret, statements[number].recipient)
    written = Journal(reader.store, log.owner, state_key, secrets.token_bytes)
    handed = msgspec.structs.replace(asked, epochs={str(number): key.secret for number, key in epochs.items()})
    return Keys(reader, epochs, trust.from_message(asked.appraisal), written, handed)


def locked() -> UserCloudError:
    """The refusal of a user cloud that was handed no keys yet."""
    return UserCloudError(
        "locked", "found no keys: this user cloud was started and not unlocked yet", hint="unlock it", status=409
    )
