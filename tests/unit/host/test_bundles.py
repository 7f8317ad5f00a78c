from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.unit.host.rig import Host, refused, running
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Listing, Stored
from waykeep.host.ports import HostLimits


def test_a_bundle_is_kept_by_its_digest(host: Host) -> None:
    digest = sha256(b"a bundle")
    answer = host.ask("PUT", f"/v1/bundles/{digest}", b"a bundle")
    assert answer.status_code == 201
    assert msgspec.json.decode(answer.content, type=Stored) == Stored(digest, True)
    assert host.ask("PUT", f"/v1/bundles/{digest}", b"a bundle").status_code == 200
    assert host.ask("GET", f"/v1/bundles/{digest}").content == b"a bundle"
    assert digest in msgspec.json.decode(host.ask("GET", "/v1/bundles").content, type=Listing).names


def test_a_colon_may_be_escaped(host: Host) -> None:
    digest = sha256(b"escaped")
    assert host.ask("PUT", f"/v1/bundles/{digest.replace(':', '%3A')}", b"escaped").status_code == 201
    assert host.ask("GET", f"/v1/bundles/{digest}").content == b"escaped"


def test_a_bundle_of_another_digest_is_refused(host: Host) -> None:
    before = host.files()
    refused(host.ask("PUT", f"/v1/bundles/{sha256(b'one')}", b"two"), 400, "digest-mismatch")
    refused(host.ask("PUT", f"/v1/bundles/{sha256(b'')}"), 400, "body-empty")
    assert host.files() == before


@pytest.mark.parametrize("digest", ["a" * 64, "sha256:" + "A" * 64, "sha256:abc", "sha512:" + "a" * 64])
def test_a_malformed_digest_is_refused(host: Host, digest: str) -> None:
    refused(host.ask("PUT", f"/v1/bundles/{digest}", b"x"), 400, "digest-malformed")
    refused(host.ask("GET", f"/v1/bundles/{digest}"), 400, "digest-malformed")
    refused(host.ask("POST", f"/v1/algorithms/{digest}/services"), 400, "digest-malformed")


def test_an_unknown_bundle_is_missing(host: Host) -> None:
    refused(host.ask("GET", f"/v1/bundles/{sha256(b'nobody')}"), 404, "bundle-unknown")


def test_bundles_are_listed_in_pages(tmp_path: Path) -> None:
    with running(tmp_path, HostLimits(page=2)) as host:
        digests = sorted(sha256(bytes([n])) for n in range(3))
        for n in range(3):
            assert host.ask("PUT", f"/v1/bundles/{sha256(bytes([n]))}", bytes([n])).status_code == 201
        first = msgspec.json.decode(host.ask("GET", "/v1/bundles").content, type=Listing)
        assert first == Listing(tuple(digests[:2]), more=True)
        rest = msgspec.json.decode(host.ask("GET", f"/v1/bundles?after={first.names[-1]}").content, type=Listing)
        assert rest == Listing(tuple(digests[2:]), more=False)


def test_more_bundles_than_it_keeps_are_refused(tmp_path: Path) -> None:
    with running(tmp_path, HostLimits(bundles=2)) as host:
        for body in (b"1", b"2"):
            assert host.ask("PUT", f"/v1/bundles/{sha256(body)}", body).status_code == 201
        refused(host.ask("PUT", f"/v1/bundles/{sha256(b'3')}", b"3"), 507, "host-full")
        assert host.ask("PUT", f"/v1/bundles/{sha256(b'1')}", b"1").status_code == 200
        assert len(host.files()) == 2
