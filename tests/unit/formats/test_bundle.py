from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waykeep.errors import FormatError
from waykeep.formats import bundle

MANIFEST = b"""\
name = "rows"
version = "1.0.0"
author = "A. Uthor"
summary = "Counts rows."
entry = "rows:run"
[inputs.location]
columns = ["ts_ms"]
why = "To count them."
[limits]
memory_mib = 64
cpu_s = 1
wall_s = 1
[output]
meaning = "One row."
max_rows = 1
[output.fields.rows]
type = "integer"
minimum = 0
maximum = 100
meaning = "How many."
"""
LOCK = b"numpy==2.0.0\npython==3.11\n"
FILES = {
    "algorithm.toml": MANIFEST,
    "libraries.lock": LOCK,
    "rows.py": b"def run(tables, parameters):\n    return []\n",
    "parts/__init__.py": b"",
    "parts/one.py": b"ONE = 1\n",
}


def refused(rule: str, call: Callable[[], object]) -> None:
    with pytest.raises(FormatError) as error:
        call()
    assert error.value.rule == rule


PATHS = st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,8}", fullmatch=True)


@given(st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8))
def test_unpacking_gives_what_was_packed(files: dict[str, bytes]) -> None:
    assert bundle.unpack(bundle.pack(files)) == files


def test_the_order_of_the_files_makes_no_other_archive() -> None:
    assert bundle.pack(FILES) == bundle.pack(dict(reversed(FILES.items())))


def test_the_digest_is_that_of_the_bytes_and_changes_with_one_of_them() -> None:
    changed = FILES | {"parts/one.py": b"ONE = 2\n"}
    assert bundle.digest(bundle.pack(FILES)).startswith("sha256:")
    assert bundle.digest(bundle.pack(FILES)) != bundle.digest(bundle.pack(changed))


def test_pythons_tar_reads_the_archive_and_finds_nothing_but_files() -> None:
    with tarfile.open(fileobj=io.BytesIO(bundle.pack(FILES))) as tar:
        members = tar.getmembers()
        found = {member.name: tar.extractfile(member) for member in members}
    assert [member.name for member in members] == sorted(FILES)
    assert {(m.mode, m.uid, m.gid, m.uname, m.gname, m.mtime, m.type) for m in members} == {
        (0o644, 0, 0, "", "", 0, tarfile.REGTYPE)
    }
    assert all(file is not None for file in found.values())


def test_the_header_is_the_one_that_pythons_tar_writes() -> None:
    info = tarfile.TarInfo("rows.py")
    info.size = 5
    ours = bytearray(bundle.pack({"rows.py": b"pass\n"})[:512])
    theirs = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    assert ours == theirs


# -- hostile archives --------------------------------------------------------------------------------------------------


def tar(*members: tarfile.TarInfo, content: bytes = b"pass\n", kind: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar as a library writes it, without the padding to a record that ours never has."""
    parts = []
    for member in members:
        body = content if member.isreg() else b""
        member.size = len(body)
        parts.append(member.tobuf(kind) + body + bytes(-len(body) % 512))
    return b"".join(parts) + bytes(1024)


def member(name: str = "rows.py", **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def test_the_helper_writes_what_is_canonical_when_nothing_is_wrong() -> None:
    assert bundle.unpack(tar(member())) == {"rows.py": b"pass\n"}


@pytest.mark.parametrize(
    "hostile",
    [
        member(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member(type=tarfile.LNKTYPE, linkname="rows.py"),
        member(type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member(type=tarfile.BLKTYPE),
        member(type=tarfile.FIFOTYPE),
        member(type=tarfile.CONTTYPE),
        member(type=tarfile.GNUTYPE_SPARSE),
        member(type=tarfile.AREGTYPE),
        member(linkname="rows.py"),
        member(mode=0o755),
        member(mode=0o4644),
        member(uid=1),
        member(gid=1),
        member(uname="root"),
        member(gname="root"),
        member(mtime=1),
    ],
    ids=[
        "a-symbolic-link", "a-hard-link", "a-character-device", "a-block-device", "a-fifo",
        "a-contiguous-file", "a-sparse-file", "an-old-regular-file", "a-link-target", "an-executable",
        "a-set-uid-file", "a-uid", "a-gid", "a-user", "a-group", "a-time",
    ],
)  # fmt: skip
def test_an_archive_with(hostile: tarfile.TarInfo) -> None:
    refused("bundle-not-canonical", lambda: bundle.unpack(tar(hostile)))


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../rows.py", "a/../../rows.py", "./rows.py", "a//b.py", "a/", "Rows.py", "-rows.py", "a b.py", ""],
)
def test_a_path_that_is_none_of_ours(path: str) -> None:
    refused("bundle-path", lambda: bundle.unpack(tar(member(path))))
    refused("bundle-path", lambda: bundle.pack({path: b""}))


def test_a_folder() -> None:
    archive = bytearray(tar(member()))
    archive[156:157] = tarfile.DIRTYPE
    refused("bundle-not-canonical", lambda: bundle.unpack(bytes(archive)))


def test_a_path_longer_than_its_field() -> None:
    refused("bundle-path", lambda: bundle.pack({"a" * 101: b""}))
    assert bundle.unpack(bundle.pack({"a" * 100: b"x"})) == {"a" * 100: b"x"}


def test_a_path_continued_in_the_prefix_field() -> None:
    info = member("a" * 60 + "/" + "b" * 60)
    refused("bundle-not-canonical", lambda: bundle.unpack(tar(info)))


def test_a_path_that_is_a_file_and_a_folder() -> None:
    refused("bundle-path", lambda: bundle.pack({"a": b"", "a/b": b""}))


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_an_archive_with_extensions_of(kind: int) -> None:
    info = member("a" * 120 + ".py", mtime=1.5)
    with pytest.raises(FormatError) as error:
        bundle.unpack(tar(info, kind=kind))
    assert error.value.rule in {"bundle-path", "bundle-malformed"}


def test_a_path_twice() -> None:
    refused("bundle-not-canonical", lambda: bundle.unpack(tar(member(), member())))


def test_paths_out_of_order() -> None:
    refused("bundle-not-canonical", lambda: bundle.unpack(tar(member("b.py"), member("a.py"))))


@pytest.mark.parametrize("size", [b"77777777777\0", b"00000002000\0"], ids=["eight-gibibytes", "beyond-the-end"])
def test_a_size_that_the_archive_does_not_have(size: bytes) -> None:
    archive = bytearray(tar(member()))
    archive[124:136] = size
    refused("bundle-malformed", lambda: bundle.unpack(bytes(archive)))


@pytest.mark.parametrize("size", [b"\x80" + bytes(10) + b"\5", b"-0000000001\0", b"5          \0", b"0000000005 \0"])
def test_a_size_in_another_spelling(size: bytes) -> None:
    archive = bytearray(tar(member()))
    archive[124:136] = size
    refused("bundle-not-canonical", lambda: bundle.unpack(bytes(archive)))


@pytest.mark.parametrize("at", [100, 108, 136, 148, 156, 263, 500, 512 + 5])
def test_one_byte_changed_in_a_header_or_in_padding(at: int) -> None:
    archive = bytearray(tar(member()))
    archive[at] ^= 1
    with pytest.raises(FormatError) as error:
        bundle.unpack(bytes(archive))
    assert error.value.rule in {"bundle-not-canonical", "bundle-malformed"}


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 1024, 1536])
def test_an_archive_cut_short(cut: int) -> None:
    archive = bundle.pack(FILES)
    refused("bundle-malformed", lambda: bundle.unpack(archive[:cut]))


def test_an_archive_padded_to_a_record() -> None:
    with pytest.raises(FormatError) as error:
        bundle.unpack(bundle.pack(FILES) + bytes(512 * 7))
    assert error.value.rule == "bundle-malformed"


def test_an_archive_that_hides_a_file_behind_its_end() -> None:
    with pytest.raises(FormatError) as error:
        bundle.unpack(bundle.pack({"a.py": b""}) + bundle.pack({"b.py": b""}))
    assert error.value.rule == "bundle-malformed"


def test_an_archive_too_large() -> None:
    refused("bundle-too-large", lambda: bundle.unpack(bytes(bundle.MAX_ARCHIVE + 512)))
    refused("bundle-too-large", lambda: bundle.pack({"a": bytes(bundle.MAX_ARCHIVE)}))


def test_too_many_files() -> None:
    refused("bundle-too-large", lambda: bundle.pack({f"f{i}.py": b"" for i in range(65)}))
    refused("bundle-too-large", lambda: bundle.unpack(tar(*(member(f"f{i:03}.py") for i in range(65)))))


@given(st.binary(max_size=3000).map(lambda junk: junk + bytes(-len(junk) % 512) + bytes(1024)))
def test_junk_is_refused_by_a_rule(junk: bytes) -> None:
    try:
        assert bundle.pack(bundle.unpack(junk)) == junk
    except FormatError as error:
        assert error.rule.startswith("bundle-")


# -- what is in it -----------------------------------------------------------------------------------------------------


def test_loading_finds_manifest_modules_and_libraries() -> None:
    archive = bundle.pack(FILES)
    loaded = bundle.load(archive)
    assert loaded.digest == bundle.digest(archive)
    assert loaded.manifest.name == "rows"
    assert loaded.modules == {"rows": "rows.py", "parts": "parts/__init__.py", "parts.one": "parts/one.py"}
    assert loaded.libraries == {"numpy": "2.0.0", "python": "3.11"}


@pytest.mark.parametrize("missing", ["algorithm.toml", "libraries.lock", "rows.py"])
def test_a_bundle_without(missing: str) -> None:
    files = {path: content for path, content in FILES.items() if path != missing}
    refused("bundle-incomplete", lambda: bundle.load(bundle.pack(files)))


@pytest.mark.parametrize("path", ["data.bin", "lib.so", "readme.md", "my-module.py", "1.py", "parts/algorithm.toml"])
def test_a_bundle_with_a_file_that_is_no_module(path: str) -> None:
    refused("bundle-member", lambda: bundle.load(bundle.pack(FILES | {path: b""})))


def test_a_bundle_with_a_module_and_a_package_of_one_name() -> None:
    refused("bundle-member", lambda: bundle.load(bundle.pack(FILES | {"rows/__init__.py": b""})))


@pytest.mark.parametrize(
    "lock",
    [b"python==3.11\nnumpy==2.0.0\n", b"numpy==2.0.0", b"numpy>=2.0.0\n", b"numpy==2.0.0\nnumpy==2.1.0\n", b"\xff\n",
     b"numpy==2.0.0\r\n", b" numpy==2.0.0\n", b"numpy==2.0.0\n\n"],
)  # fmt: skip
def test_a_lock_that_is_not_sorted_lines(lock: bytes) -> None:
    refused("bundle-libraries", lambda: bundle.load(bundle.pack(FILES | {"libraries.lock": lock})))
