from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.algorithm.samples import FILES
from waykeep.algorithm import author, preload
from waykeep.errors import WaykeepError
from waykeep.formats import bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An author's, in a folder of its own."""
    write(tmp_path / "rows", {path: content.decode() for path, content in FILES.items()})
    return tmp_path / "rows"


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def refused(rule: str, folder: Path) -> WaykeepError:
    with pytest.raises(WaykeepError) as error:
        author.pack_folder(folder)
    assert error.value.rule == rule
    return error.value


def test_manifest_and_source_are_packed_with_a_lock_and_nothing_else_is(folder: Path) -> None:
    write(
        folder,
        {
            "parts/__init__.py": "",
            "parts/tests/test_part.py": "import pytest",
            "tests/test_rows.py": "import pytest",
            "tests/recordings/home.json": "{}",
            "README.md": "# Rows",
            "__pycache__/rows.cpython-311.pyc": "x",
            "__pycache__/cached.py": "x",
            ".venv/lib/site.py": "import os",
            "data.csv": "1",
            "libraries.lock": "numpy==0.1\n",
            "parts/algorithm.toml": "",
        },
    )
    files = bundle.unpack(author.pack_folder(folder))
    assert sorted(files) == ["algorithm.toml", "libraries.lock", "parts/__init__.py", "rows.py"]
    assert files["rows.py"] == FILES["rows.py"]
    assert files["libraries.lock"] == bundle.write_libraries(preload.installed_libraries())


def test_the_same_folder_gives_the_same_bytes_elsewhere_and_later(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    for path, content in reversed(FILES.items()):
        (other / path).write_bytes(content)
        (other / path).chmod(0o600)
        os.utime(other / path, (1, 1))
    assert author.pack_folder(folder) == author.pack_folder(other)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    refused("pack-folder", tmp_path)
    refused("pack-folder", tmp_path / "not-there")


@pytest.mark.parametrize("link", ["algorithm.toml", "rows.py", "more.py"])
def test_a_link_out_of_the_folder(link: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_bytes(FILES.get(link, b"SECRET = 1\n"))
    (folder / link).unlink(missing_ok=True)
    (folder / link).symlink_to(secret)
    assert link in refused("pack-link", folder).message


@pytest.fixture
def shared(folder: Path) -> Path:
    beside = folder.parent / "shared"
    beside.mkdir()
    (beside / "more.py").write_text("MORE = 1\n")
    return beside


def test_what_algorithms_share_is_packed_as_if_it_were_copied(shared: Path, folder: Path) -> None:
    (folder / "more.py").symlink_to("../shared/more.py")
    linked = author.pack_folder(folder)
    (folder / "more.py").unlink()
    (folder / "more.py").write_text("MORE = 1\n")
    assert author.pack_folder(folder) == linked


@pytest.mark.parametrize("target", ["../shared/other.py", "../shared/../shared/more.py", "{shared}/more.py"])
def test_a_link_to_what_is_shared_by_another_name(target: str, shared: Path, folder: Path) -> None:
    (shared / "other.py").write_text("OTHER = 1\n")
    (folder / "more.py").symlink_to(target.format(shared=shared))
    refused("pack-link", folder)


def test_a_link_that_is_shared_and_leads_on(shared: Path, folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_text("SECRET = 1\n")
    (shared / "more.py").unlink()
    (shared / "more.py").symlink_to(secret)
    (folder / "more.py").symlink_to("../shared/more.py")
    refused("pack-link", folder)


def test_a_link_to_what_is_shared_from_a_folder_below(shared: Path, folder: Path) -> None:
    (folder / "below" / "shared").mkdir(parents=True)
    (folder / "shared").mkdir()
    (folder / "shared" / "more.py").write_text("MORE = 1\n")
    (folder / "below" / "more.py").symlink_to("../shared/more.py")
    refused("pack-link", folder)


def test_a_linked_folder_is_not_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "secret.py").write_text("SECRET = 1\n")
    (folder / "parts").symlink_to(elsewhere)
    assert "parts/secret.py" not in bundle.unpack(author.pack_folder(folder))


def test_a_file_too_large_is_not_read_whole(folder: Path) -> None:
    with (folder / "large.py").open("wb") as file:
        file.truncate(1 << 40)
    refused("bundle-too-large", folder)


def test_too_many_files(folder: Path) -> None:
    write(folder, {f"part{i}.py": "" for i in range(64)})
    refused("bundle-too-large", folder)


def test_a_file_name_in_capitals(folder: Path) -> None:
    write(folder, {"Parts.py": ""})
    refused("bundle-path", folder)


def test_source_that_does_not_parse_is_named_with_its_line(folder: Path) -> None:
    write(folder, {"part.py": "ONE = 1\ndef broken(:\n"})
    assert "part.py:2" in refused("pack-source", folder).message


@pytest.mark.parametrize(
    "line", ["import os", "import math, os", "from os import path", "import os as math", "from os.path import join"]
)
def test_an_import_that_a_run_does_not_have_is_named_with_its_line(line: str, folder: Path) -> None:
    write(folder, {"part.py": f"def later():\n    {line}\n"})
    error = refused("pack-import", folder)
    assert "part.py:2" in error.message
    assert "numpy" in error.hint


def test_imports_that_a_run_has(folder: Path) -> None:
    write(folder, {"part.py": "import math\nimport numpy.linalg\nimport parts.one\nfrom parts import one\n",
                   "parts/__init__.py": "", "parts/one.py": "from . import two\n", "parts/two.py": ""})  # fmt: skip
    author.pack_folder(folder)


def test_a_module_with_the_name_of_a_library(folder: Path) -> None:
    write(folder, {"numpy.py": ""})
    refused("bundle-module-shadows", folder)


def test_an_entry_whose_function_is_not_there(folder: Path) -> None:
    write(folder, {"rows.py": "def walk(tables, parameters):\n    return []\n"})
    refused("pack-entry", folder)


@pytest.mark.parametrize("source", ["from part import run\n", "from part import go as run\n", "run = print\n"])
def test_an_entry_that_comes_from_elsewhere(source: str, folder: Path) -> None:
    write(folder, {"rows.py": source, "part.py": "def run(t, p): return []\ngo = run\n"})
    author.pack_folder(folder)
