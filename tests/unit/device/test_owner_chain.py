"""The device's copy of its owner log, against a host that answers what it likes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.people import refused
from tests.unit.vault.segmenting import LOG, NOW_MS, OWNER, SECRETS, STATE_KEY
from waykeep.authority.statements import StateKeyNamed
from waykeep.device import chain
from waykeep.device.chain import OwnerChain
from waykeep.device.hostclient import HostClient
from waykeep.device.profile import Folder
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
def owner_chain(host: Host, folder: Folder) -> Iterator[OwnerChain]:
    client = HostClient(f"http://127.0.0.1:{host.server_port}", LOG.owner, SECRETS.device_key)
    yield OwnerChain(folder, client, SECRETS, lambda: NOW_MS)
    client.close()


def test_the_log_is_read_remembered_and_copied(owner_chain: OwnerChain, folder: Folder) -> None:
    head = Head(4, sha256(OWNER.entries[4]))
    assert owner_chain.state().head == head
    assert folder.heads().owner == head
    assert len(list(folder.log.iterdir())) == 5


def test_the_copy_stands_where_the_host_lost_the_log(owner_chain: OwnerChain, host: Host, folder: Folder) -> None:
    before = owner_chain.state().head
    host.entries.clear()
    again = OwnerChain(folder, owner_chain._host, SECRETS, lambda: NOW_MS)
    assert again.state().head == before


def test_a_host_that_shows_less_than_was_seen(owner_chain: OwnerChain, host: Host, folder: Folder) -> None:
    chain.remember(folder, owner=Head(5, sha256(b"seen")))
    with refused("owner-log-rewound", "device"):
        owner_chain.state()
    host.entries.clear()
    with refused("owner-log-rewound", "device"):
        owner_chain.state()


def test_a_host_that_shows_another_entry_than_was_seen(owner_chain: OwnerChain, folder: Folder) -> None:
    chain.remember(folder, owner=Head(2, sha256(b"another")))
    with refused("owner-log-rewound", "device"):
        owner_chain.state()


def test_a_host_that_never_takes_an_entry(owner_chain: OwnerChain, host: Host) -> None:
    with refused("owner-log-contended", "device"):
        owner_chain.append(StateKeyNamed(STATE_KEY.public))
    assert host.puts == chain.ATTEMPTS
    assert owner_chain.state().head.number == 4
