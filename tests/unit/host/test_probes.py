from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import pytest
from starlette.routing import Route

from tests.unit.host.rig import Host, Person, refused, running
from waykeep.authority import access
from waykeep.formats.ids import sha256
from waykeep.host.app import create_app
from waykeep.host.metrics import Metrics
from waykeep.host.supervisor import Supervisor
from waykeep.vault.store import DirectoryStore


def use_everything(host: Host, person: Person) -> list[str]:
    """Ask for a bit of everything, good and bad; returns what may appear nowhere."""
    digest = sha256(b"a bundle of this test")
    path = f"/v1/owners/{person.owner}"
    host.ask("PUT", f"/v1/bundles/{digest}", b"a bundle of this test")
    host.ask("POST", f"/v1/algorithms/{digest}/services")
    host.ask("PUT", f"{path}/segments/secretname.age", person.sealed(b"secretbody"), key=person.device)
    host.ask("PUT", f"{path}/segments/secretname.age", person.sealed(b"secretbody"), key=person.device)
    host.ask("PUT", f"{path}/journal/secretname.age", person.sealed(), key=person.device)
    host.ask("GET", f"{path}/segments?after=secretname.age", key=person.device)
    host.ask("POST", f"{path}/cloud", key=person.device)
    host.ask("GET", f"{path}/no/such/path")
    host.ask("DELETE", f"{path}/segments/secretname.age")
    host.client.request("SECRETNAME", path)
    keys = (person.device.public, person.writer.public, person.authority.public)
    return [person.owner, digest[7:], "secretname", "SECRETNAME", "secretbody", *keys]


def host_side(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged, but for what the test's own HTTP client logs in this same process."""
    formatter = logging.Formatter("%(name)s %(message)s")
    return "\n".join(formatter.format(record) for record in caplog.records if not record.name.startswith("http"))


def test_metrics_count_by_route_and_hold_no_id(host: Host, person: Person) -> None:
    hidden = use_everything(host, person)
    found = host.ask("GET", "/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = found.text
    assert not [word for word in hidden if word in text]
    put = 'waykeep_host_requests_total{method="PUT",route="/v1/owners/{owner}/{room}/{name}",status="201"} 1'
    assert put in text.splitlines()
    assert 'waykeep_host_requests_total{method="OTHER",route="unmatched",status="404"} 1' in text.splitlines()
    for line in text.splitlines():
        assert line.startswith("# ") or re.fullmatch(r'[a-z_]+\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\} [0-9.]+', line)


def test_logs_are_single_lines_without_an_id(host: Host, person: Person, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        hidden = use_everything(host, person)
    written = [record.getMessage() for record in caplog.records if record.name == "waykeep.host"]
    # A line follows its answer: that of the registration before may come only now.
    lines = [line for line in written if "/access/" not in line]
    assert len(lines) == 10
    assert not [word for word in hidden if word in host_side(caplog)]
    pattern = r"event=request method=[A-Z]+ route=(/[a-z0-9/{}_-]+|unmatched) status=\d{3} ms=\d+\.\d"
    assert all(re.fullmatch(pattern, line) for line in lines)


def test_a_failing_store_is_a_refusal_and_names_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(tmp_path) as host, caplog.at_level(logging.DEBUG):
        person = Person()
        host.register(person)
        shutil.rmtree(host.root / "owners" / person.owner / "segments")
        path = f"/v1/owners/{person.owner}/segments/a.age"
        refused(host.ask("PUT", path, person.sealed(), key=person.device), 503, "store-failed")
        inception = host.root / "owners" / person.owner / "access" / "0000000000"
        inception.unlink()
        inception.mkdir()
        refused(host.ask("PUT", path, person.sealed(), key=person.device), 503, "store-failed")
        assert "event=request" in host_side(caplog)
        assert person.owner not in host_side(caplog)


class _Broken(DirectoryStore):
    """A store that fails as no store of ours should: the host's own net is under test."""

    error: Exception = OSError(5, "Input/output error", "owners/secretname")

    def names(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "rule"),
    [
        (OSError(5, "Input/output error", "owners/secretname"), 503, "store-failed"),
        (RuntimeError("secretname"), 500, "host-failed"),
    ],
)
def test_an_unexpected_failure_tells_nothing(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    rule: str,
) -> None:
    monkeypatch.setattr(_Broken, "error", error)
    monkeypatch.setattr("tests.unit.host.rig.DirectoryStore", _Broken)
    with running(tmp_path) as host, caplog.at_level(logging.DEBUG):
        answer = host.ask("GET", "/v1/bundles")
        refused(answer, status, rule)
        assert "secretname" not in answer.text + host_side(caplog)
        assert ("event=failed type=RuntimeError" if status == 500 else "event=store-failed errno=EIO") in caplog.text
        assert host.ask("GET", "/healthz").status_code == 200


def test_readiness_needs_the_store(tmp_path: Path) -> None:
    with running(tmp_path) as host:
        assert host.ask("GET", "/readyz").json() == {"status": "ok"}
        (host.root / "bundles").rmdir()
        (host.root / "bundles").symlink_to("bundles")
        refused(host.ask("GET", "/readyz"), 503, "store-failed")


def test_the_interface_describes_each_route(host: Host, tmp_path: Path) -> None:
    document = host.ask("GET", "/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    app = create_app(DirectoryStore(tmp_path), Supervisor("none"), access, host_url="http://127.0.0.1:1")
    served = {
        (route.path, method.lower())
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert described == served
    assert len(served) == 20


def test_the_interface_has_every_schema_that_it_names(host: Host) -> None:
    text = host.ask("GET", "/openapi.json").text
    named = set(re.findall(r'"#/components/schemas/([A-Za-z]+)"', text))
    schemas = json.loads(text)["components"]["schemas"]
    assert named == set(schemas)
    assert named >= {"Address", "Listing", "Stored", "Registered", "Problem", "Health"}
    assert all(schema["additionalProperties"] is False for schema in schemas.values())


def test_operations_have_names_of_their_own(host: Host) -> None:
    document = host.ask("GET", "/openapi.json").json()
    names = [found["operationId"] for methods in document["paths"].values() for found in methods.values()]
    assert len(names) == len(set(names))


def test_a_histogram_adds_up() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.002, 0.3, 100.0):
        metrics.observe("GET", "/healthz", 200, seconds)
    lines = metrics.render().splitlines()
    assert 'waykeep_host_request_seconds_bucket{route="/healthz",le="0.001"} 1' in lines
    assert 'waykeep_host_request_seconds_bucket{route="/healthz",le="0.0025"} 2' in lines
    assert 'waykeep_host_request_seconds_bucket{route="/healthz",le="30.0"} 3' in lines
    assert 'waykeep_host_request_seconds_bucket{route="/healthz",le="+Inf"} 4' in lines
    assert 'waykeep_host_request_seconds_sum{route="/healthz"} 100.303000' in lines
    assert 'waykeep_host_request_seconds_count{route="/healthz"} 4' in lines
