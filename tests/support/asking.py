"""A query by hand: each step of a researcher's by itself, so that a test can come between them."""

from __future__ import annotations

import msgspec

from tests.support.studies import Field
from tests.support.waiting import until
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority.queries import QueryStatus
from waykeep.authority.studies import Parts
from waykeep.channel.client import AttestedClient
from waykeep.device import researcher
from waykeep.device.account import now_ms
from waykeep.device.hostclient import HostClient
from waykeep.formats.ids import query_binding, sha256
from waykeep.formats.messages import Address, OpenQuery, Rings, StartQuery
from waykeep.formats.wire import decode_json, encode_json


class Asked:
    """A query by hand: an aggregator's process, and the researcher's connection to it."""

    def __init__(self, field: Field, envelope: bytes, repetition: int = 0, url: str = "", parts: Parts | None = None):
        self.field, self.digest, self.repetition = field, sha256(envelope), repetition
        trust = field.stage.trust()
        if parts is not None:
            trust = msgspec.structs.replace(
                trust, references=ReferenceValues(parts.supervisors, {AGGREGATOR: parts.aggregators})
            )
        self.address = researcher.open_query(url or field.stage.aggregator_url, OpenQuery(self.digest, repetition))
        self.client = AttestedClient(
            self.address,
            workload=AGGREGATOR,
            binding=query_binding(self.digest, repetition),
            trust=trust,
            clock=now_ms,
            signer=field.key,
        )
        try:
            started = encode_json(StartQuery(envelope.decode(), field.stage.trust().to_message()))
            self.client.request("POST", "/v1/query", started)
        except BaseException:
            self.close()
            raise

    @property
    def status(self) -> QueryStatus:
        return decode_json(self.client.request("GET", "/v1/query"), QueryStatus, what="a status")

    def freeze(self) -> None:
        self.client.request("POST", "/v1/freeze", b"{}")

    def release(self) -> bytes:
        """The published file, as the aggregator gives it."""
        return self.client.request("GET", "/v1/release")

    def stop(self) -> None:
        """As a researcher does who has what there was to have: the aggregator ends."""
        self.client.request("POST", "/v1/stop", b"{}")

    def close(self) -> None:
        self.client.close()


def ring(field: Field, envelope: bytes, address: Address, repetition: int = 0) -> dict[str, int]:
    """A round of rings as a researcher has it done; what it came to."""
    host = HostClient(field.stage.host_url, None, field.key)
    digest = sha256(envelope)
    try:
        host.ring(digest, Rings(repetition, address))
        until(lambda: not host.rung(digest).waiting, "a round has ended", 30)
        return host.rung(digest).outcomes
    finally:
        host.close()
