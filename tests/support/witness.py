"""A witness as its operator runs it: a real process, and requests to it as owners and user clouds make them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.program import waykeep
from waykeep.authority import controls, witnessing
from waykeep.authority.keys import SigningKey, commitment, derive, key_digest
from waykeep.authority.witnessing import (
    NONCE_BYTES,
    Action,
    AdvanceJournal,
    Answer,
    Held,
    NameStateKey,
    Register,
    Rotate,
)
from waykeep.channel.witness import WitnessClient
from waykeep.formats.ids import PublicKey, parse_public_key, sha256
from waykeep.formats.messages import Head


class Witness:
    """A witness that runs.

    Attributes:
        state: Its folder.
        url, key: Where it is, and its public key.
        tokens: Admission tokens that nobody has used; take one with ``tokens.pop()``.
        process: The process; another one after `restart`.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self.tokens: list[str] = []
        self.url, self.key = "", PublicKey("")
        self.process: subprocess.Popen[str]
        self._port = 0

    def start(self, *wrap: str, fails: bool = False) -> None:
        """Start it, and wait until it accepts connections. It has the port that it had before.

        Args:
            wrap: A command that runs it, such as a tracer.
            fails: It must not come that far; it is gone when this returns.
        """
        command = [*wrap, sys.executable, "-I", "-m", "waykeep", "witness", "serve"]
        command += ["--state", str(self.state), "--json"]
        with open(self.state.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.stdout.close()
            code = self.process.wait(20)
            assert fails, (code, self.log)
            return
        ready = json.loads(line)
        self.url, self.key = ready["url"], parse_public_key(ready["key"])
        self._port = int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        """All that it wrote for its operator."""
        return self.state.with_suffix(".log").read_text()

    def admit(self, count: int) -> None:
        """More ``tokens``."""
        self.tokens += json.loads(self.command("admit", "--count", str(count)))["tokens"]

    def counts(self) -> dict[str, int]:
        """What `waykeep witness status` says."""
        found: dict[str, int] = json.loads(self.command("status"))
        return found

    def command(self, verb: str, *more: str) -> str:
        return waykeep("witness", verb, "--state", str(self.state), "--json", *more).stdout

    def stop(self) -> int:
        """End it as an operator does; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9``; gone when this returns."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Waits until it has ended; its exit code."""
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def restart(self) -> None:
        """``kill -9``, and start it again."""
        self.kill()
        self.start()


class Party:
    """An owner at a witness, with the state key of their user cloud: owner head 1, no journal yet.

    Attributes:
        control, next, state: Keys; ``next`` is committed to with ``SALT``.
        client: Their connection, which ends with the context.
    """

    SALT = bytes(16)

    def __init__(self, witness: Witness, name: str = "party") -> None:
        self.witness, self.name = witness, name
        self.control, self.next, self.state = (self.key(purpose) for purpose in ("control", "next", "state"))
        self.pseudonym = key_digest(self.control.public)
        self.client = WitnessClient(witness.url, witness.key, self.pseudonym)

    def key(self, purpose: str) -> SigningKey:
        return SigningKey(derive(self.name.encode().ljust(32), f"tests/{purpose}"))

    def head(self, number: int, branch: str = "") -> Head:
        """The head of this number; another one for each ``branch``."""
        return Head(number, sha256(f"{self.name}/{number}/{branch}".encode()))

    def register(self) -> Answer:
        """Registers with a token of the witness's, and names the state key."""
        self.ask(self.registration(self.witness.tokens.pop()))
        return self.ask(NameStateKey(self.state.public))

    def registration(self, token: str) -> Register:
        held = Held(self.head(1), None, None, 0, ())
        return Register(token, self.control.public, commitment(self.SALT, self.next.public), held)

    def rotation(self) -> Rotate:
        """To ``next``, with owner head 2 of branch ``rotated``."""
        after = commitment(self.SALT, self.key("after").public)
        return Rotate((controls.rotation(self.next, self.SALT, after),), self.head(2, "rotated"))

    def journal(self, before: int | None, number: int, branch: str = "", owner: int = 1) -> AdvanceJournal:
        """An advance from a head of the main branch to one of ``branch``."""
        return AdvanceJournal(
            None if before is None else self.head(before), self.head(number, branch), self.head(owner)
        )

    def ask(self, action: Action, signer: SigningKey | None = None) -> Answer:
        """Ask as who may; or as somebody else."""
        if isinstance(action, AdvanceJournal):
            return self.client.ask(action, signer or self.state)
        return self.client.ask(action, signer or (self.next if isinstance(action, Rotate) else self.control))

    def request(self, action: Action, signer: SigningKey, nonce: int = 0) -> bytes:
        """The envelope of a request, to be sent by anybody, at any time."""
        return witnessing.request(self.witness.key, self.pseudonym, nonce.to_bytes(NONCE_BYTES, "big"), action, signer)

    def __enter__(self) -> Party:
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()


def post(
    url: str, bodies: Sequence[bytes], *, connections: int = 1, path: str = "/v1/requests"
) -> list[tuple[int, bytes]]:
    """Status and body of the answer to each body, in their order; sent over so many connections at once."""
    host, _, port = url.removeprefix("http://").partition(":")
    found: dict[int, tuple[int, bytes]] = {}
    waiting = iter(enumerate(bodies))

    async def work() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for number, body in waiting:
            writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            found[number] = int(head.split()[1]), await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    async def run() -> None:
        await asyncio.gather(*(work() for _ in range(connections)))

    asyncio.run(run())
    return [found[number] for number in range(len(bodies))]


@contextmanager
def running_witness(folder: Path, *, tokens: int = 3, name: str = "witness") -> Iterator[Witness]:
    """A witness with a state folder of this name in ``folder``, and some tokens; it is ended at the end."""
    witness = Witness(folder / name)
    witness.start()
    try:
        if tokens:
            witness.admit(tokens)
        yield witness
    finally:
        if witness.process.poll() is None:
            witness.stop()
        elif witness.process.stdout is not None:
            witness.process.stdout.close()
