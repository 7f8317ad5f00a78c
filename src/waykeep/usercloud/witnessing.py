"""One user cloud's dealings with its owner's witness."""

from __future__ import annotations

import threading
from collections.abc import Callable

from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.witnessing import AdvanceJournal, Answer, Held
from waykeep.channel.witness import WitnessClient
from waykeep.errors import VaultError, WitnessError
from waykeep.formats.messages import Head
from waykeep.usercloud.cloud import Cloud


class Witnessing:
    """Asks the witness for one cloud. Threads that wait for each other share one request.

    Args:
        clock: The machine's, in ms, for an owner who accepted to do without a witness; nothing else asks it.
    """

    def __init__(self, cloud: Cloud, clock: Callable[[], int]) -> None:
        self._cloud, self._clock, self._lock = cloud, clock, threading.Lock()
        self._client: WitnessClient | None = None
        self._held: Held | None = None
        self._asked = 0
        self._last: tuple[int, Head, Answer] | None = None

    def stand(self, log: OwnerState) -> int:
        """Check that the witness holds what this user cloud holds; the witness's time, in ms.

        Raises:
            AuthorityError: ``witness-missing``; as `Cloud.stand`, and `WitnessClient.read`.
        """
        if log.waived:
            return self._clock()
        with self._lock:
            return self._stand(log).time_ms

    def witness(self, log: OwnerState, head: Head) -> int:
        """Have the journal witnessed up to ``head`` at least, which is durable; the witness's time of it, in ms.

        Raises:
            WitnessError: When another head was witnessed. And as `WitnessClient.ask` and `Cloud.stand`.
        """
        if log.waived:
            return self._clock()
        before = self._asked
        with self._lock:
            if self._last is not None:
                number, covered, answer = self._last
                # Asked after this record was durable, by a thread that waited for the same turn.
                if number > before and self._includes(covered, head) and answer.held.owner == log.head:
                    return answer.time_ms
            self._asked += 1
            held = self._held or self._stand(log).held
            try:
                return self._advance(log, held, head)
            except WitnessError:
                # It holds something else than when it was last asked: the owner's entry, or an advance of another copy.
                return self._advance(log, self._stand(log).held, head)

    def _stand(self, log: OwnerState) -> Answer:
        self._held = None
        answer = self._connected(log).read()
        self._cloud.stand(log, answer.held)
        self._held = answer.held
        return answer

    def _includes(self, newest: Head, head: Head) -> bool:
        """Whether ``head`` lies on the journal at hand, and not after ``newest``."""
        return newest.number >= head.number and self._cloud.journal.digest_at(head.number) == head.digest

    def _advance(self, log: OwnerState, held: Held, head: Head) -> int:
        newest, number = self._cloud.newest(), self._asked
        if not self._includes(newest, head):
            raise VaultError(
                "journal-forked",
                f"found a journal without record {head.number}, which was durable before",
                hint="the host lost or withholds records, or shows another journal",
                status=409,
            )
        self._held = None
        action = AdvanceJournal(held.journal, newest, log.head)
        answer = self._connected(log).ask(action, self._cloud.state_key)
        self._held, self._last = answer.held, (number, newest, answer)
        return answer.time_ms

    def _connected(self, log: OwnerState) -> WitnessClient:
        pseudonym, named = log.pseudonym(), log.witness
        if named is None:
            raise AssertionError("an owner without a witness has no pseudonym")
        if self._client is None or (
            (self._client.key, self._client.url, self._client.pseudonym) != (named.key, named.url, pseudonym)
        ):
            if self._client is not None:
                self._client.close()
            self._client = WitnessClient(named.url, named.key, pseudonym)
        return self._client
