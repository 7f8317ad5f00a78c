"""A client of a witness: requests signed by the caller, answers believed for the witness's signature over one's nonce.

The connection itself need not be trusted: what is asked is signed, and so is what comes back. Whoever sees the traffic
learns the pseudonym and when something is asked.
"""

from __future__ import annotations

import secrets
from types import TracebackType

from waykeep.authority import witnessing
from waykeep.authority.keys import SigningKey
from waykeep.authority.witnessing import NONCE_BYTES, Action, Answer, Read
from waykeep.channel.exchange import Exchanges, TooLarge, Unanswered
from waykeep.errors import ChannelError
from waykeep.formats import problem
from waykeep.formats.ids import Digest, PublicKey, b64
from waykeep.formats.wire import encode_json

MAX_ANSWER = 65536


class WitnessClient:
    """One owner's connection to their witness; kept open between requests, and used by one thread at a time.

    Args:
        timeout_s: How long to wait for each step of an answer, in seconds; three times that for all of it.
    """

    def __init__(self, url: str, key: PublicKey, pseudonym: Digest, *, timeout_s: float = 5.0) -> None:
        self.key, self.pseudonym = key, pseudonym
        self.url = url
        self._http = Exchanges(step_s=timeout_s, total_s=3 * timeout_s)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> WitnessClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self) -> Answer:
        """What the witness holds, and its time, as of now.

        Raises:
            ChannelError: ``witness-unreachable`` (502), ``witness-answer-too-large``.
            AuthorityError: ``witness-signature``, ``witness-answer``. WitnessError: ``witness-unknown``.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        body = self._post("/v1/read", encode_json(Read(self.pseudonym, b64(nonce))))
        return witnessing.open_answer(body, [self.key], self.pseudonym, nonce, None)

    def ask(self, action: Action, signer: SigningKey) -> Answer:
        """Have the witness do something; its answer holds what is held now. Raises as `read`, and WitnessError."""
        return self.ask_envelope(action, signer)[0]

    def ask_envelope(self, action: Action, signer: SigningKey) -> tuple[Answer, bytes]:
        """As `ask`, with the answer's envelope, for others to check."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        envelope = witnessing.request(self.key, self.pseudonym, nonce, action, signer)
        body = self._post("/v1/requests", envelope)
        return witnessing.open_answer(body, [self.key], self.pseudonym, nonce, envelope), body

    def _post(self, path: str, content: bytes) -> bytes:
        headers = [("content-type", "application/json")]
        try:
            status, body = self._http.exchange("POST", self.url.rstrip("/") + path, headers, content, limit=MAX_ANSWER)
        except TooLarge:
            raise ChannelError("witness-answer-too-large", f"found an answer over {MAX_ANSWER} bytes") from None
        except Unanswered as error:
            raise ChannelError(
                "witness-unreachable",
                f"found no answer of the witness ({error})",
                hint="nothing is done for others without it; your own reads and runs work. Ask its operator",
                status=502,
            ) from None
        if status >= 400:
            raise problem.decode(body)
        return body
