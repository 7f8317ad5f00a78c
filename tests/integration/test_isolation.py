"""What separates the processes of a node, looked at from outside: the kernel's word, not their evidence's."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import algorithms, intruder, processes
from tests.support.fixtures import Owners
from tests.support.people import SOME_DAY_MS, Person, points
from tests.support.processes import Process
from tests.support.stages import ROOT, Watched
from tests.support.waiting import until
from waykeep.errors import WaykeepError

pytestmark = [pytest.mark.root, pytest.mark.skipif(not ROOT, reason="uids of their own need root")]

WINDOW = (SOME_DAY_MS, SOME_DAY_MS + 100_000)
NO_ACCESS = {"ptrace": "EPERM", "process_vm_readv": "EPERM"} | dict.fromkeys(("mem", "environ", "fd", "maps"), "EACCES")


class Living:
    """An owner's user cloud, and the front and child of a run that is under way."""

    def __init__(self, owner: Person, cloud: Process, front: Process, child: Process) -> None:
        self.owner, self.cloud, self.front, self.child = owner, cloud, front, child

    @property
    def all(self) -> tuple[Process, Process, Process]:
        return self.cloud, self.front, self.child


@pytest.fixture(scope="module")
def living(stage: Watched) -> Iterator[Living]:
    owner = Person(stage, "living")
    counting = algorithms.slow()
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 30)}, "imported")
        device.upload()
        algorithms.approve(device, counting, *WINDOW)

        def run() -> None:
            with pytest.raises(WaykeepError, match="unreachable"):
                device.run(counting[0].digest, {"rounds": algorithms.FOR_EVER}, *WINDOW)

        running = threading.Thread(target=run)
        running.start()
        child = until(lambda: [p for p in stage.services() if p.is_child and p.busy], "a run is under way")[0]
        (front,) = stage.services() - {child}
        yield Living(owner, stage.cloud(owner.owner), front, child)
        os.kill(front.pid, 9)
        running.join(20)


def status(process: Process) -> dict[str, str]:
    lines = (process.path / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_each_process_has_a_uid_of_its_own_and_no_groups_or_capabilities(living: Living, owners: Owners) -> None:
    stage, other = living.owner.stage, owners()
    with other.account() as device:
        device.host.cloud()
    found = [*living.all, stage.cloud(other.owner)]
    uids = {process.uid for process in found}
    assert len(uids) == 4 and 0 not in uids
    for process in found:
        facts = status(process)
        assert set(facts["Uid"].split()) == set(facts["Gid"].split()) == {str(process.uid)}
        assert facts["Groups"].split() == []
        assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0
    assert {process.uid for process in stage.supervised()} - uids == {0}


def test_none_is_dumpable(living: Living) -> None:
    """The kernel gives the `/proc` of a process that is not dumpable to root; so a uid of one's own does not help."""
    stage = living.owner.stage
    for process in (*living.all, stage.parent()):
        assert (process.path / "fd").stat().st_uid == 0, process
        limits = (process.path / "limits").read_text()
        assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]
    with intruder.easy_victim(living.cloud.uid) as pid:
        # The same look tells of a process that is.
        assert Path(f"/proc/{pid}/fd").stat().st_uid == living.cloud.uid


def test_another_process_of_the_same_uid_can_neither_read_nor_trace_it(living: Living) -> None:
    control = living.owner.stage.socket
    for process in living.all:
        found = intruder.trying_as(process.uid, process.pid, control)
        assert {name: found[name] for name in NO_ACCESS} == NO_ACCESS, process


def test_the_attempts_do_succeed_against_a_process_that_is_not_isolated(living: Living) -> None:
    """Without this the test above could pass for a reason of its own."""
    with intruder.easy_victim(living.cloud.uid) as pid:
        found = intruder.trying_as(living.cloud.uid, pid, living.owner.stage.socket)
    assert {found[name] for name in NO_ACCESS} == {"done"}


def test_a_user_cloud_holds_null_its_supervisor_socket_and_its_own_listener(living: Living) -> None:
    found = living.cloud.descriptors()
    assert {found.pop(standard) for standard in (0, 1, 2)} == {"/dev/null"}
    assert sorted(name for name in found.values() if not name.startswith("socket:")) == ["anon_inode:[eventpoll]"]
    tcp = connections()
    listeners = [inode for inode in processes.sockets(found) if inode in processes.listening()]
    unix = [inode for inode in processes.sockets(found) if inode not in tcp]
    assert len(listeners) == 1
    # Its supervisor socket, and the pair with which asyncio wakes its own loop.
    assert len(unix) == 3
    # All other sockets are connections on its own listener, or to the front of the run that is under way.
    port, front = processes.listening()[listeners[0]], listener_of(living.front)
    others = [tcp[inode] for inode in processes.sockets(found) if inode in tcp and inode != listeners[0]]
    assert {local == port or remote == front for local, remote in others} <= {True}


def test_a_front_holds_its_pipes_besides(living: Living) -> None:
    found = living.front.descriptors()
    assert {found.pop(standard) for standard in (0, 1, 2)} == {"/dev/null"}
    others = sorted(name.partition(":")[0] for name in found.values() if not name.startswith("socket:"))
    assert others == ["anon_inode", "pipe", "pipe"]
    assert sum(inode in processes.listening() for inode in processes.sockets(found)) == 1
    assert len([inode for inode in processes.sockets(found) if inode not in connections()]) == 3


def test_an_author_s_process_holds_two_pipes_and_nothing_else(living: Living) -> None:
    mine, fronts = living.child.descriptors(), living.front.descriptors()
    assert sorted(name.partition(":")[0] for name in mine.values()) == ["pipe", "pipe"]
    assert set(mine.values()) == {name for name in fronts.values() if name.startswith("pipe:")}


def test_no_socket_of_supervisor_or_preloaded_parent_was_inherited(living: Living) -> None:
    stage = living.owner.stage
    kept = stage.parent().descriptors()
    supervisor = next(p for p in stage.processes() if p.pid == stage.supervisor_pid).descriptors()
    above = processes.sockets(kept) | processes.sockets(supervisor)
    assert len(above) >= 4
    held = [processes.sockets(process.descriptors()) for process in living.all]
    for inodes in held:
        assert above.isdisjoint(inodes)
    assert held[0].isdisjoint(held[1])
    # The parent holds its control socket and what it waits with; no end of anything that it passed on.
    assert len(processes.sockets(kept)) == 1
    assert not [name for name in kept.values() if name.startswith("pipe:")]


def test_environment_and_arguments_hold_nothing_of_the_owner(living: Living) -> None:
    secrets = living.owner.secrets
    telling = [living.owner.owner, *secrets.logs, *secrets.epochs.values(), algorithms.slow()[0].digest]
    for process in living.all:
        assert process.environment().keys() <= {"PATH", "LANG", "LC_CTYPE", "TMPDIR"}
        told = (process.path / "environ").read_bytes() + (process.path / "cmdline").read_bytes()
        assert not [text for text in telling if text.encode() in told]


def test_the_node_s_key_is_in_the_supervisor_and_in_nothing_that_it_forked(living: Living) -> None:
    stage = living.owner.stage
    secret = (stage.state / "node-key").read_bytes().strip()
    assert (stage.state / "node-key").stat().st_mode & 0o777 == 0o600
    assert holds(stage.supervisor_pid, secret), "else what follows says nothing"
    for process in (stage.parent(), *living.all):
        assert not holds(process.pid, secret), process


def holds(pid: int, secret: bytes) -> bool:
    """Whether the writable memory of a process holds these bytes."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                first, last = (int(end, 16) for end in span.split("-"))
                memory.seek(first)
                if secret in memory.read(last - first):
                    return True
    return False


def test_a_user_cloud_s_uid_reaches_its_owner_s_folder_and_no_other(living: Living, owners: Owners) -> None:
    stage, other = living.owner.stage, owners()
    with other.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 3)}, "imported")
        device.upload()
    own, foreign = living.owner.home / "segments", other.home / "segments"
    found = intruder.trying_as(
        *(living.cloud.uid, stage.cloud(other.owner).pid, stage.socket),
        *(own, foreign, other.home, stage.store / "owners", stage.store / "bundles", stage.state),
    )
    assert (found["list-0"], found["put-0"]) == ("done", "done")
    assert {found[f"{verb}-{n}"] for verb in ("list", "put") for n in (1, 2)} == {"EACCES"}
    # Not even whose folders there are.
    assert {found[f"{verb}-{n}"] for verb in ("list", "put") for n in (3, 5)} == {"EACCES"}
    assert found["put-4"] == "EACCES"
    assert {found[name] for name in NO_ACCESS} == {"EPERM", "EACCES"}


def test_no_process_but_root_connects_to_the_supervisor(living: Living) -> None:
    for process in living.all:
        found = intruder.trying_as(process.uid, process.pid, living.owner.stage.socket)
        assert found["connect"] == "EACCES"
    assert intruder.trying_as(0, living.cloud.pid, living.owner.stage.socket)["connect"] == "done"


def test_the_files_of_a_user_cloud_belong_to_its_uid(living: Living) -> None:
    for path in (living.owner.home / "journal").iterdir():
        assert path.stat().st_uid == living.cloud.uid
    assert living.owner.home.stat().st_mode & 0o007 == 0
    assert living.owner.home.stat().st_uid == living.cloud.uid


def test_author_s_code_has_namespaces_of_its_own(living: Living) -> None:
    for kind in ("net", "mnt", "ipc", "uts", "pid"):
        own, parents = (os.readlink(p.path / "ns" / kind) for p in (living.child, living.owner.stage.parent()))
        assert own != parents, kind
    facts = status(living.child)
    assert (facts["Seccomp"], facts["NoNewPrivs"]) == ("2", "1")


def connections() -> dict[int, tuple[int, int]]:
    """(local port, remote port) by inode of every TCP socket of this machine."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in (processes.PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
            found[int(fields[9])] = (local, remote)
    return found


def listener_of(process: Process) -> int:
    """The port that a process listens on."""
    ports = processes.listening()
    return next(ports[inode] for inode in processes.sockets(process.descriptors()) if inode in ports)
