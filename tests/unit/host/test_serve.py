from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.unit.host.rig import Host, Node, Person
from waykeep.errors import HostError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Address, Listing
from waykeep.host.serve import bind

ROOT = Path(__file__).parents[3]


@contextmanager
def process(root: Path, node: Node) -> Iterator[tuple[subprocess.Popen[str], Host]]:
    """A host process; killed if the test did not end it."""
    command = [sys.executable, "-m", "tests.unit.host.hostprocess", str(root), str(node.path)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as found:
        try:
            assert found.stdout is not None
            host = Host(int(found.stdout.readline()), root, node)
            yield found, host
            host.client.close()
        finally:
            found.kill()


def test_a_host_killed_and_started_again_finds_everything(tmp_path: Path) -> None:
    root = tmp_path / "store"
    (root / "bundles").mkdir(parents=True)
    node = Node(tmp_path / "node.sock")
    person = Person()
    body, bundle = person.sealed(), b"a bundle"
    path = f"/v1/owners/{person.owner}"
    try:
        with process(root, node) as (first, host):
            host.register(person)
            assert host.ask("PUT", f"{path}/segments/a.age", body, key=person.writer).status_code == 201
            assert host.ask("PUT", f"/v1/bundles/{sha256(bundle)}", bundle).status_code == 201
            launched = msgspec.json.decode(host.ask("POST", f"{path}/cloud", key=person.device).content, type=Address)
            first.send_signal(signal.SIGKILL)
            assert first.wait() == -signal.SIGKILL
        with process(root, node) as (second, host):
            assert host.ask("PUT", f"{path}/segments/a.age", body, key=person.writer).status_code == 200
            names = msgspec.json.decode(host.ask("GET", f"{path}/segments", key=person.device).content, type=Listing)
            assert names == Listing(("a.age",))
            assert host.ask("GET", f"/v1/bundles/{sha256(bundle)}").content == bundle
            found = msgspec.json.decode(host.ask("POST", f"{path}/cloud", key=person.device).content, type=Address)
            assert (found.port, found.started) == (launched.port, False)
            second.send_signal(signal.SIGTERM)
            _, log = second.communicate(timeout=20)
            assert second.returncode in (0, -signal.SIGTERM)
        assert node.clouds == {person.owner: launched.port}
        lines = log.splitlines()
        assert len(lines) == 4
        assert all(line.startswith("time=") and " room=host event=request " in line for line in lines)
        assert person.owner not in log
    finally:
        node.close()


def test_answers_are_not_held_back_by_nagle() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_port_that_is_taken_is_said_so() -> None:
    with bind("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(HostError, match="cannot-listen"):
            bind("127.0.0.1", first.getsockname()[1])


def test_an_address_that_is_none_is_said_so() -> None:
    with pytest.raises(HostError, match="cannot-listen"):
        bind("no.such.address.invalid", 0)
