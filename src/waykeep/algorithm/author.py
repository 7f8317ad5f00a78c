"""An author's folder as a bundle: what is packed, and what an author should learn before anybody approves it.

Packed are ``algorithm.toml`` and every ``*.py`` outside folders named ``tests``; ``libraries.lock`` is added. Nothing
else of the folder leaves it, so a README, recordings to test with, or a hidden file cannot slip into a digest.
What several of an author's algorithms share lies in ``shared`` beside their folders, each file linked from there under
its own name; every bundle holds it whole. No other link is followed.
The source is parsed here, on its author's machine, and nowhere else before it is in the sandbox.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from waykeep.algorithm import preload
from waykeep.errors import AlgorithmError
from waykeep.formats import bundle
from waykeep.formats.bundle import Bundle

_SKIPPED = frozenset({"tests", "__pycache__"})
_SHARED = "shared"


def pack_folder(folder: Path) -> bytes:
    """The canonical archive of an author's folder.

    Raises:
        AlgorithmError: ``pack-folder`` when there is no ``algorithm.toml``; ``pack-link`` for a symbolic link that
            does not lead to a file of its name in ``../shared``; ``pack-source`` for source that does not parse;
            ``pack-import`` for a module that a run does not have; ``pack-entry`` when the entry's function is not
            there; ``bundle-module-shadows``.
        FormatError: What `waykeep.formats.bundle.load` finds wrong.
    """
    if not (folder / bundle.MANIFEST).is_file():
        raise AlgorithmError(
            "pack-folder", f"found no {bundle.MANIFEST} in the folder", hint="name the folder that holds it"
        )
    files = {bundle.LIBRARIES: bundle.write_libraries(preload.installed_libraries())}
    left = bundle.MAX_ARCHIVE
    for path in _members(folder):
        if path.is_symlink() and not _shared(folder, path):
            raise AlgorithmError(
                "pack-link",
                f"found a symbolic link at {_name(folder, path)}",
                hint=f"copy the file, or keep it in ../{_SHARED} and link it from there under its name",
            )
        with path.open("rb") as file:
            content = file.read(left + 1)
        left = max(0, left - len(content))
        files[_name(folder, path)] = content
    archive = bundle.pack(files)
    loaded = bundle.load(archive)
    preload.check_bundle(loaded)
    _check_source(loaded)
    return archive


def _members(folder: Path) -> Iterator[Path]:
    yield folder / bundle.MANIFEST
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in _SKIPPED and not each.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(".py"))


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _shared(folder: Path, path: Path) -> bool:
    """Whether a link leads to a file of its own name in the folder that an author's algorithms share."""
    target = folder / ".." / _SHARED / path.name
    return path.readlink() == Path("..", _SHARED, path.name) and path.parent == folder and not target.is_symlink()


def _check_source(loaded: Bundle) -> None:
    manifest = loaded.manifest
    for module, path in loaded.modules.items():
        try:
            tree = ast.parse(loaded.files[path], path)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            raise AlgorithmError("pack-source", f"found source that Python cannot parse at {path}:{line}") from None
        for line, name in _imports(tree):
            if name not in loaded.modules and not preload.may_import(name):
                raise AlgorithmError(
                    "pack-import",
                    f"found an import of {name} at {path}:{line}, which a run does not have",
                    hint=f"a run has {', '.join(sorted(preload.ALLOWED_MODULES))}",
                )
        if module == manifest.module and manifest.function not in set(_bound(tree)):
            raise AlgorithmError("pack-entry", f"found no function {manifest.function} in {path}, the manifest's entry")


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every absolute import; a relative one stays in the bundle or fails."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
