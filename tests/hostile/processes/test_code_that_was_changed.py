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
from waykeep.channel.trust import Trust
from waykeep.supervisor.measure import measure, reference_values


@pytest.fixture(scope="module")
def source() -> Iterator[Path]:
    """A folder with the package, in which one byte of a user cloud is another."""
    with tempfile.TemporaryDirectory(prefix="waykeep-source-") as name:
        package = Path(name) / "waykeep"
        shutil.copytree(Path(waykeep.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        changed = package / "usercloud" / "cloud.py"
        text = changed.read_bytes()
        assert text.endswith(b"\n")
        changed.write_bytes(text[:-1] + b" ")
        yield Path(name)


@pytest.fixture(scope="module")
def changed(stage: Watched, source: Path) -> Iterator[Watched]:
    """A node and a host that run it, with the software root of `stage`."""
    with running(source=source, root_of=stage) as found:
        assert found.root == stage.root
        yield found


def trusting(owner: Person, trust: Trust) -> None:
    owner.folder.save_profile(msgspec.structs.replace(owner.folder.profile(), trust=trust))


def test_a_changed_user_cloud_is_refused_and_gets_no_key(stage: Watched, changed: Watched) -> None:
    owner = Person(changed, "one", stage.trust())
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 4)}, "imported")
        with unchanged(owner), refused("platform-measurement-unknown", "attestation"):
            device.status()
        wire = Wire(device.host.cloud())
    assert wire.ask(wire.signed(owner.secrets.device_key, "GET", "/v1/status")).refusal.rule == "locked"


def test_a_changed_user_cloud_is_refused_by_one_who_trusts_its_supervisor(
    stage: Watched, changed: Watched, source: Path
) -> None:
    """The two layers are measured each for itself."""
    trust, package = stage.trust(), source / "waykeep"
    supervisor = (measure("supervisor", package),)
    owner = Person(
        changed,
        "two",
        msgspec.structs.replace(trust, references=msgspec.structs.replace(trust.references, supervisor=supervisor)),
    )
    with owner.account() as device, unchanged(owner), refused("workload-measurement-unknown", "attestation"):
        device.status()


def test_one_who_approves_the_changed_code_is_served_by_it(stage: Watched, changed: Watched, source: Path) -> None:
    """So the refusals above are for the change and nothing else."""
    found = reference_values(source / "waykeep")
    own = stage.trust().references
    assert found.workloads["user-cloud"] != own.workloads["user-cloud"]
    assert found.workloads["algorithm"] == own.workloads["algorithm"]
    owner = Person(changed, "three", msgspec.structs.replace(stage.trust(), references=found))
    with owner.account() as device:
        assert device.status().owner == owner.owner


def test_a_host_that_leads_an_owner_to_the_changed_node(stage: Watched, changed: Watched) -> None:
    """An owner who is served rightly here is told, one day, that their user cloud is over there."""
    owner = Person(stage, "four")
    there = Person(changed, "five", stage.trust())
    with rogue_host(stage.host_url) as rogue, owner.account(rogue.url) as device:
        device.queue({"location": points(SOME_DAY_MS, 4)}, "imported")
        device.upload()
        with there.account() as theirs:
            rogue.wrong_cloud(theirs.host.cloud())
        device.disconnect()
        with unchanged(owner), refused("platform-measurement-unknown", "attestation"):
            device.status()
