"""A node that runs other code under the installation's own software root: a byte more is another measurement."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import waykeep
from tests.support.people import SOME_DAY_MS, Person, points, refused, unchanged
from tests.support.rogue import rogue_host
from tests.support.stages import Watched, running
from tests.support.wire import Wire
from waykeep.supervisor.measure import reference_values

CHANGES = [
    ("usercloud/cloud.py", "workload-measurement-unknown"),
    ("supervisor/uids.py", "platform-measurement-unknown"),
]


class Changed:
    """A node and a host with a byte of their code changed, and the software root of the right ones.

    Attributes:
        rule: What refuses it.
        package: The code that it runs.
    """

    def __init__(self, stage: Watched, package: Path, rule: str) -> None:
        self.stage, self.package, self.rule = stage, package, rule


@pytest.fixture(scope="module", params=CHANGES, ids=["user-cloud", "supervisor"])
def changed(stage: Watched, request: pytest.FixtureRequest) -> Iterator[Changed]:
    path, rule = request.param
    with tempfile.TemporaryDirectory(prefix="waykeep-source-") as name:
        package = Path(name) / "waykeep"
        shutil.copytree(Path(waykeep.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        text = (package / path).read_bytes()
        assert text.endswith(b"\n")
        (package / path).write_bytes(text[:-1] + b" ")
        with running(source=Path(name), root_of=stage) as found:
            assert found.root == stage.root
            yield Changed(found, package, rule)


def test_a_node_with_changed_code_is_refused_and_gets_no_key(stage: Watched, changed: Changed) -> None:
    owner = Person(changed.stage, "one", stage.trust())
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 4)}, "imported")
        with unchanged(owner), refused(changed.rule, "attestation"):
            device.status()
        assert len(device.outbox.names()) == 1
        wire = Wire(device.host.cloud())
    assert wire.ask(wire.signed(owner.secrets.device_key, "GET", "/v1/status")).refusal.rule == "locked"


def test_one_who_trusts_the_changed_code_is_served_by_it(stage: Watched, changed: Changed) -> None:
    """So the refusals are for the change and nothing else."""
    trust = msgspec.structs.replace(stage.trust(), references=reference_values(changed.package))
    owner = Person(changed.stage, "two", trust)
    with owner.account() as device:
        assert device.status().owner == owner.owner


def test_a_host_that_leads_an_owner_to_the_changed_node(stage: Watched, changed: Changed) -> None:
    """An owner who is served rightly here is told, one day, that their user cloud is over there."""
    owner = Person(stage, f"led-by-{changed.rule}")
    there = Person(changed.stage, "three", stage.trust())
    with rogue_host(stage.host_url) as rogue, owner.account(rogue.url) as device:
        device.queue({"location": points(SOME_DAY_MS, 4)}, "imported")
        device.upload()
        with there.account() as theirs:
            rogue.wrong_cloud(theirs.host.cloud())
        device.disconnect()
        with unchanged(owner), refused(changed.rule, "attestation"):
            device.status()


@pytest.mark.parametrize("path", ["usercloud/routes.py", "vault/store.py", "channel/client.py", "algorithm/child.py"])
def test_a_byte_anywhere_in_what_is_forked_is_another_measurement(path: str, tmp_path: Path) -> None:
    package = tmp_path / "waykeep"
    shutil.copytree(Path(waykeep.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    assert reference_values(package) == reference_values()
    with open(package / path, "ab") as file:
        file.write(b"\n")
    changed, own = reference_values(package), reference_values()
    assert changed.supervisor == own.supervisor
    assert all(changed.workloads[name] != own.workloads[name] for name in own.workloads)
