"""The device's copy of its owner log, and what it adds to it, against a host that answers what it likes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.people import refused
from tests.unit.vault.segmenting import LOG, NOW_MS, OWNER, SECRETS, STATE_KEY
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.statements import StateKeyNamed
from waykeep.device import appending, heads, keystore
from waykeep.device.appending import OwnerLog
from waykeep.device.chain import OwnerChain
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.keystore import KeyFile
from waykeep.device.pending import Pending
from waykeep.device.profile import Folder
from waykeep.device.witnessing import OwnerWitness
from waykeep.errors import HostError, WaykeepError
from waykeep.formats import agefile, problem
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head


class Host(ThreadingHTTPServer):
    """A host that holds an owner log and says of every put that the name is taken.

    Attributes:
        entries: The log's objects by number.
        puts: How many were tried.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        recipients = LOG.log_recipients()
        self.entries = {numbered(n): agefile.seal(entry, recipients) for n, entry in enumerate(OWNER.entries)}
        self.puts = 0


class _Handler(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        found = self.server.entries.get(self.path.rpartition("/")[2])
        if found is None:
            self.refuse(HostError("object-missing", "found no object", status=404))
        else:
            self.answer(200, found)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.puts += 1
        self.refuse(HostError("name-taken", "found other bytes", status=409))

    def refuse(self, error: WaykeepError) -> None:
        self.answer(error.status, problem.encode(error))

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "log").mkdir()
    return Folder(tmp_path)


@pytest.fixture
def keys(folder: Folder) -> Keyring:
    lock = KeyFile(folder.path / "owner.key", create=True)
    keystore.save(folder.keystore, SECRETS, lock)
    return Keyring(folder, lock)


@pytest.fixture
def client(host: Host) -> Iterator[HostClient]:
    found = HostClient(f"http://127.0.0.1:{host.server_port}", LOG.owner, SECRETS.device_key)
    yield found
    found.close()


@pytest.fixture
def chain(client: HostClient, folder: Folder, keys: Keyring) -> OwnerChain:
    return OwnerChain(folder, client, keys)


@pytest.fixture
def log(client: HostClient, folder: Folder, keys: Keyring, chain: OwnerChain) -> OwnerLog:
    return OwnerLog(chain, Pending(folder, SECRETS.queue), client, keys, OwnerWitness(keys), lambda: NOW_MS)


def test_the_log_is_read_remembered_and_copied(chain: OwnerChain, folder: Folder) -> None:
    head = Head(4, sha256(OWNER.entries[4]))
    assert chain.state().head == head
    assert folder.heads().owner == head
    assert len(list(folder.log.iterdir())) == 5


def test_the_copy_stands_where_the_host_lost_the_log(
    chain: OwnerChain, client: HostClient, host: Host, folder: Folder, keys: Keyring
) -> None:
    before = chain.state().head
    host.entries.clear()
    again = OwnerChain(folder, client, keys)
    assert again.known().head == before
    assert again.state().head == before


def test_a_device_that_never_read_the_log_knows_none_of_it(chain: OwnerChain) -> None:
    with refused("owner-log-unread", "device"):  # no alarm: nobody has hidden anything
        chain.known()


def test_a_host_that_shows_less_than_was_seen(chain: OwnerChain, host: Host, folder: Folder) -> None:
    heads.remember(folder, owner=Head(5, sha256(b"seen")))
    with refused("owner-log-rewound", "device"):
        chain.state()
    host.entries.clear()
    with refused("owner-log-rewound", "device"):
        chain.state()


def test_the_alarm_says_what_was_seen_what_may_have_happened_and_what_to_do(chain: OwnerChain, folder: Folder) -> None:
    heads.remember(folder, owner=Head(5, sha256(b"seen")))
    with pytest.raises(WaykeepError) as caught:
        chain.state()
    assert "entries up to 4" in caught.value.message and "has seen entry 5" in caught.value.message
    assert "restored an old copy" in caught.value.message and "on purpose" in caught.value.message
    assert "ask the operator" in caught.value.hint


def test_a_host_that_shows_another_entry_than_was_seen(chain: OwnerChain, folder: Folder) -> None:
    heads.remember(folder, owner=Head(2, sha256(b"another")))
    with refused("owner-log-rewound", "device"):
        chain.state()


def test_a_host_that_never_takes_an_entry(log: OwnerLog, host: Host, folder: Folder) -> None:
    with refused("owner-log-contended", "device"):
        log.append(StateKeyNamed(STATE_KEY.public))
    assert host.puts == appending.ATTEMPTS
    assert log.chain.state().head.number == 4
    assert len(list(folder.pending.iterdir())) == 1, "what was decided is kept"


def test_an_entry_that_the_log_refuses_is_not_kept(log: OwnerLog, host: Host, folder: Folder) -> None:
    with refused("log-unknown", "authority"):
        log.append(Withdrawn(4))
    assert host.puts == 0
    assert list(folder.pending.iterdir()) == []
