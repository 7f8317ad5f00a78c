"""One user cloud's dealings with its owner's witness."""

from __future__ import annotations

import threading
from collections.abc import Callable

from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.witnessing import AdvanceJournal, Answer, Held
from waykeep.channel.witness import WitnessClient
from waykeep.errors import WitnessError
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
                if number > before and covered.number >= head.number and answer.held.owner == log.head:
                    return answer.time_ms
            self._asked += 1
            held = self._held or self._stand(log).held
            try:
                return self._advance(log, held)
            except WitnessError:
                # It holds something else than when it was last asked: the owner's entry, or an advance of another copy.
                return self._advance(log, self._stand(log).held)

    def _stand(self, log: OwnerState) -> Answer:
        self._held = None
        answer = self._connected(log).read()
        self._cloud.stand(log, answer.held)
        self._held = answer.held
        return answer

    def _advance(self, log: OwnerState, held: Held) -> int:
        newest, number = self._cloud.newest(), self._asked
        self._held = None
        action = AdvanceJournal(held.journal, newest, log.head)
        answer = self._connected(log).ask(action, self._cloud.state_key)
        self._held, self._last = answer.held, (number, newest, answer)
        return answer.time_ms

    def _connected(self, log: OwnerState) -> WitnessClient:
        pseudonym, named = log.pseudonym(), log.witness
        if named is None:
            raise AssertionError("an owner without a witness has no pseudonym")
        if self._client is None or (self._client.key, self._client.url) != (named.key, named.url):
            if self._client is not None:
                self._client.close()
            self._client = WitnessClient(named.url, named.key, pseudonym)
        return self._client
