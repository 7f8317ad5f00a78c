"""``python -m benchmarks [NAME...] [--json]``: run benchmarks, print tables, or one JSON object keyed by name."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from types import ModuleType

import msgspec
from rich.console import Console
from rich.table import Table

import benchmarks


def names() -> list[str]:
    """Names of all benchmarks: the modules of this folder whose names do not begin with an underscore."""
    return sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name[0] != "_")


def render(name: str, module: ModuleType, figures: dict[str, float | str]) -> Table:
    """A table of figures, each with its meaning and, where an issue sets one, its goal."""
    table = Table(title=f"{name}: {(module.__doc__ or '').splitlines()[0]}", title_justify="left")
    for column in ("figure", "value", "goal", "meaning"):
        table.add_column(column)
    for key, value in figures.items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        table.add_row(key, shown, module.GOALS.get(key, ""), module.MEANINGS.get(key, ""))
    return table


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names())}; all by default")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.names) - set(names()))
    if unknown:
        parser.error(f"no benchmark {unknown[0]}; there are {', '.join(names())}")
    found = {}
    for name in given.names or names():
        module = importlib.import_module(f"benchmarks.{name}")
        found[name] = module.run()
        if not given.json:
            Console().print(render(name, module, found[name]))
    if given.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
