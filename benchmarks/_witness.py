"""Advances a second that one witness process signs under load: for `benchmarks.state`.

Many pseudonyms, each with its own chain of journal heads; the requests are signed before, and sent over connections
that stay open by another process (`benchmarks._load`) on the same machine. Each answer is signed and durable.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import msgspec

from benchmarks import _load
from waykeep.authority import witnessing
from waykeep.authority.keys import SigningKey, commitment, derive, key_digest
from waykeep.authority.witnessing import NONCE_BYTES, Action, AdvanceJournal, Held, NameStateKey, Register
from waykeep.channel.witness import WitnessClient
from waykeep.formats.ids import Digest, PublicKey, sha256
from waykeep.formats.messages import Head

CONNECTIONS = 64
ADVANCES = 160
"""By each connection; it has a pseudonym of its own."""


def witness_per_s(connections: int = CONNECTIONS, advances: int = ADVANCES) -> float:
    """Signed and durable advances a second, from the first request to the last answer."""
    with tempfile.TemporaryDirectory(prefix="waykeep-witness-") as name:
        state = Path(name) / "witness"
        verbs = [sys.executable, "-I", "-m", "waykeep", "witness"]
        more = ["--state", str(state), "--json"]
        with subprocess.Popen([*verbs, "serve", *more, "--port", "0"], stdout=subprocess.PIPE) as process:
            try:
                if process.stdout is None:
                    raise RuntimeError("no pipe from the witness")
                ready = msgspec.json.decode(process.stdout.readline())
                admitted = subprocess.run(
                    [*verbs, "admit", *more, "--count", str(connections)], stdout=subprocess.PIPE, check=True
                )
                owners = [
                    _Owner(number, ready["url"], ready["key"], token, advances)
                    for number, token in enumerate(msgspec.json.decode(admitted.stdout)["tokens"])
                ]
                requests = Path(name) / "requests"
                requests.write_bytes(msgspec.msgpack.encode([owner.requests for owner in owners]))
                seconds = _run(int(ready["url"].rpartition(":")[2]), requests)
                for owner in owners:
                    owner.check()
            finally:
                process.terminate()
    return connections * advances / seconds


def _run(port: int, requests: Path) -> float:
    with subprocess.Popen(
        # A path is not looked up by `-I -m`, so the file itself is run; it imports only installed modules.
        [sys.executable, "-I", _load.__file__, str(port), str(requests)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipe to the load")
        process.stdout.readline()
        said, _ = process.communicate("go\n")
    return float(said)


class _Owner:
    """A pseudonym that is registered, and the advances that it will ask for, as HTTP bytes."""

    def __init__(self, number: int, url: str, witness: PublicKey, token: str, advances: int) -> None:
        control, self._state = (
            SigningKey(derive(bytes(28) + number.to_bytes(4, "big"), f"bench/{purpose}"))
            for purpose in ("control", "state")
        )
        self._number, self._witness, self._url = number, witness, url
        self._pseudonym, self._advances = key_digest(control.public), advances
        owner = Head(1, _digest(number, 0))
        held = Held(owner, None, None, 0, ())
        register = Register(token, control.public, commitment(bytes(16), self._state.public), held)
        with self._client() as client:
            client.ask(register, control)
            client.ask(NameStateKey(self._state.public), control)
        heads = [None, *(Head(at, _digest(number, at)) for at in range(1, advances + 1))]
        self.requests = [
            self._request(AdvanceJournal(before, after, owner), after.number)
            for before, after in pairwise(heads)
            if after is not None
        ]

    def check(self) -> None:
        """Raises: RuntimeError: The witness does not hold the last head."""
        with self._client() as client:
            if client.read().held.journal != Head(self._advances, _digest(self._number, self._advances)):
                raise RuntimeError("the witness does not hold what it signed")

    def _client(self) -> WitnessClient:
        return WitnessClient(self._url, self._witness, self._pseudonym)

    def _request(self, action: Action, at: int) -> bytes:
        nonce = at.to_bytes(NONCE_BYTES, "big")
        body = witnessing.request(self._witness, self._pseudonym, nonce, action, self._state)
        return b"POST /v1/requests HTTP/1.1\r\nhost: witness\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def _digest(number: int, at: int) -> Digest:
    return sha256(b"%d/%d" % (number, at))


if __name__ == "__main__":
    sys.stdout.write(f"{witness_per_s():.0f}\n")
