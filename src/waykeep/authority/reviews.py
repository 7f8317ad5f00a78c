"""Reviews: somebody's signed word that an algorithm does what it says. A grant may ask for one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, PublicKey
from waykeep.formats.messages import Millis, Small
from waykeep.formats.wire import decode_json, encode_json

REVIEW_TYPE = "application/vnd.waykeep.algorithm-review+json"
MAX_REVIEW = 4096
MAX_REVIEWS = 16


class Review(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Signed by the reviewer's key.

    Attributes:
        until_ms: The witness's time from which on it counts no longer.
        words: What was looked at.
    """

    algorithm: Digest
    until_ms: Millis
    words: Small


def vouch(review: Review, key: SigningKey) -> bytes:
    """The envelope of a review, by the reviewer's key."""
    return dsse.sign(REVIEW_TYPE, encode_json(review), key)


def check(
    vetted: Sequence[Sequence[PublicKey]], envelopes: Sequence[bytes], algorithm: Digest | None, now_ms: int
) -> None:
    """Whether of each set of keys one vouches for the algorithm, at the witness's time ``now_ms``.

    Raises:
        AuthorityError: ``review-missing`` (403). And for a review that is none: as `dsse.peek` does.
    """
    if not vetted:
        return
    vouching = set[PublicKey]()
    for envelope in envelopes[:MAX_REVIEWS]:
        opened = dsse.peek(envelope, REVIEW_TYPE, limit=MAX_REVIEW)
        found = decode_json(opened.payload, Review, what="a review")
        if found.algorithm == algorithm and now_ms < found.until_ms:
            vouching.add(opened.signer)
    if not all(vouching & set(keys) for keys in vetted):
        raise AuthorityError(
            "review-missing",
            "found no review in force of this algorithm by a key that the grant asks for",
            hint="send a reviewer's statement along with the request",
            status=403,
        )
