"""Imports for an author's code: its own modules from memory, and of the rest only what the run offers.

This is order, not the wall. Python cannot keep code from reaching a loaded module by a detour
(``statistics.sys.modules``); the sandbox holds against code that has every module, and so do its tests.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from waykeep.algorithm.preload import may_import
from waykeep.formats.bundle import Bundle


class ImportRefusedError(ImportError):
    """The author's code asked for a module that a run does not have."""


class BundleImporter(MetaPathFinder, Loader):
    """Finds the modules of one bundle by name, and runs them with an ``__import__`` that only offers what may be."""

    def __init__(self, bundle: Bundle) -> None:
        self._files = bundle.files
        self._modules = bundle.modules
        self._packages = {name.rpartition(".")[0] for name in self._modules if "." in name}

    def load(self, name: str) -> ModuleType:
        """Import a module of the bundle, and serve ``import`` for the rest of the process's life.

        A loaded module of the same name as one of the bundle's gives way (`preload.check_bundle` refuses the names of
        Python's modules and of the libraries).
        """
        for own in [*self._modules, *self._packages]:
            sys.modules.pop(own, None)
        sys.meta_path.insert(0, self)
        return importlib.import_module(name)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules and fullname not in self._packages:
            return None
        file = self._modules.get(fullname, "")
        is_package = fullname in self._packages or file.endswith("/__init__.py")
        return ModuleSpec(fullname, self, origin=file or None, is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        path = self._modules.get(module.__name__)
        if path is not None:
            # dont_inherit: the author's source does not get the __future__ imports of this file.
            code = compile(self._files[path], path, "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - to run an author's source is what this is for

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        package = str((globals or {}).get("__package__") or "")
        asked = importlib.util.resolve_name("." * level + name, package) if level else name
        # A library's C code that imports lazily (numpy, to print an array) does so with the caller's __import__, and
        # with a list where an import statement has None or a tuple (PyImport_Import). It gets what is loaded.
        by_library = isinstance(fromlist, list) and asked in sys.modules
        if not (by_library or asked in self._modules or asked in self._packages or may_import(asked)):
            raise ImportRefusedError("a run does not have this module")
        return builtins.__import__(name, globals, locals, fromlist or (), level)
