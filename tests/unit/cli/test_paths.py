"""A path or address that is none: a typed refusal of each verb, and never a traceback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.people import refused
from tests.support.program import waykeep
from waykeep.attestation import insecure
from waykeep.cli import paths
from waykeep.formats.ids import b64
from waykeep.host.serve import bind

HOST = ("--host", "http://127.0.0.1:9")
SHIPPED = str(Path(__file__).parents[3] / "algorithms" / "trips")
INIT = ("init", "--trust-insecure-root", b64(bytes(range(32))))
NODE = ("host", "serve", "--supervisor", "none.sock")


@pytest.mark.parametrize(
    ("arguments", "rule", "code"),
    [
        (("algo", "pack", "{none}"), "file-unreadable", 18),
        (("algo", "pack", "{file}"), "file-unreadable", 18),
        (("algo", "pack", SHIPPED, "-o", "{none}/x"), "file-unwritable", 18),
        (("algo", "pack", SHIPPED, "-o", "{folder}"), "file-unwritable", 18),
        (("algo", "publish", "{none}", *HOST), "file-unreadable", 18),
        (("algo", "publish", "{folder}", *HOST), "file-unreadable", 18),
        (("algo", "show", "{none}"), "file-unreadable", 18),
        (("algo", "show", "sha256:" + "0" * 64, "--host", "ftp://127.0.0.1"), "host-address-malformed", 18),
        ((*INIT, *HOST, "--passphrase-file", "{none}"), "file-unreadable", 18),
        ((*INIT, *HOST, "--passphrase-file", "{folder}"), "file-unreadable", 18),
        ((*INIT, *HOST, "--passphrase-file", "{binary}"), "file-unreadable", 18),
        ((*INIT, *HOST, "--key-file", "{none}/key"), "folder-failed", 18),
        ((*INIT, *HOST, "--key-file", "{folder}"), "key-file-missing", 18),
        ((*INIT, *HOST, "--key-file", "{folder}/key", "--home", "{file}/home"), "folder-failed", 18),
        ((*INIT, "--host", "127.0.0.1:8470", "--key-file", "{folder}/key"), "host-address-malformed", 18),
        (("status", "--key-file", "{none}", "--home", "{file}/home"), "profile-missing", 18),
        ((*NODE, "--store", "{file}/store"), "file-unwritable", 18),
        ((*NODE, "--store", "{none}", "--port", "99999"), "usage", 2),
        ((*NODE, "--store", "{none}", "--port", "-1"), "usage", 2),
        (("demo", "--output", "{file}"), "file-unwritable", 18),
    ],
)
def test_a_bad_path(arguments: tuple[str, ...], rule: str, code: int, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("none", "file", "folder", "binary")}
    places["file"].write_text("text")
    places["folder"].mkdir()
    places["binary"].write_bytes(b"\xff\xfe not text")
    before = sorted(tmp_path.rglob("*"))
    given = [text.format(**places) for text in arguments]
    said = waykeep(*given, code=code, environment={"HOME": str(tmp_path)})
    assert f"error: {rule}: " in said.stderr and "\nhint: " in said.stderr
    assert "Traceback" not in said.stderr
    assert said.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("text", ["http://127.0.0.1:8470", "https://keep.example", "http://[::1]:80/", "HTTP://a:1/x"])
def test_a_hosts_address(text: str) -> None:
    assert paths.host_address(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "keep.example", "127.0.0.1:8470", "ftp://a", "file:///a", "http://", "http:///a", "http://a:99999"),
        *("http://a:0", "http://a:b", "http://[::1", "http://me:word@a", "http://a?b=c", "http://a#b"),
    ],
)
def test_an_address_that_is_no_hosts(text: str) -> None:
    with refused("host-address-malformed", "device"):
        paths.host_address(text)


def test_a_file_opened_for_nothing_is_as_it_was(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_bytes(b"what it held before")
    for path in (new, old):
        with paths.opened(path):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.read_bytes() == b"what it held before"


def test_a_file_opened_for_something_holds_that_alone(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_bytes(b"what it held before")
    for path in (new, old):
        with paths.opened(path) as write:
            write(b"this")
        assert path.read_bytes() == b"this"
    with paths.opened(None) as write:
        write(b"nowhere")


def test_a_port_that_is_none_or_taken(tmp_path: Path) -> None:
    """And the host says what the platform is before anything else."""
    with refused("cannot-listen", "host"):
        bind("127.0.0.1", 99999)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = waykeep(*NODE, "--store", str(tmp_path / "store"), "--port", port, code=19).stderr
    assert said.startswith(f"{insecure.WARNING}\nerror: cannot-listen: ") and "\nhint: " in said
