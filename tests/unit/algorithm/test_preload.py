from __future__ import annotations

import json
import sys

import pytest

from tests.unit.algorithm.programs import run
from tests.unit.algorithm.samples import FILES, make
from waykeep.algorithm import preload
from waykeep.errors import AlgorithmError
from waykeep.formats import bundle


@pytest.fixture(scope="module")
def warmed() -> dict[str, object]:
    """What a process looks like after it was warmed up, and after it used the libraries once more in a fork."""
    program = """
    import json, os, sys
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "ARROW_DEFAULT_MEMORY_POOL", "JE_ARROW_MALLOC_CONF"):
        os.environ.pop(name, None)
    from waykeep.algorithm import preload
    early = [name for name in ("numpy", "pyarrow") if name in sys.modules]
    preload.warm()
    import pyarrow
    before = set(sys.modules)
    from waykeep.algorithm import exercise
    exercise.use_libraries()
    with open("/proc/self/status") as file:
        status = dict(line.rstrip().partition(":\\t")[::2] for line in file)
    print(json.dumps({
        "early": early,
        "threads": int(status["Threads"]),
        "missing": sorted(preload.ALLOWED_MODULES - set(sys.modules)),
        "pool": pyarrow.default_memory_pool().backend_name,
        "later": sorted(set(sys.modules) - before),
    }))
    """
    found: dict[str, object] = json.loads(run(program))
    return found


def test_the_process_that_forks_has_one_thread(warmed: dict[str, object]) -> None:
    assert warmed["threads"] == 1


def test_everything_an_author_may_import_is_loaded(warmed: dict[str, object]) -> None:
    assert warmed["missing"] == []


def test_nothing_is_loaded_lazily_after_the_first_use(warmed: dict[str, object]) -> None:
    assert warmed["later"] == []


def test_memory_comes_from_the_system(warmed: dict[str, object]) -> None:
    assert warmed["pool"] == "system"


def test_importing_the_module_itself_loads_no_library(warmed: dict[str, object]) -> None:
    assert warmed["early"] == []


def test_a_library_that_started_a_thread_before_is_noticed() -> None:
    program = """
    import threading
    from waykeep.algorithm import preload
    from waykeep.errors import AlgorithmError
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    try:
        preload.warm()
        print("warm")
    except AlgorithmError as error:
        print(error.rule)
    """
    assert run(program) == "preload-threads\n"


@pytest.mark.parametrize("name", ["math", "numpy", "numpy.linalg", "pyarrow.compute", "collections.abc", "h3"])
def test_an_author_may_import(name: str) -> None:
    assert preload.may_import(name)


@pytest.mark.parametrize(
    "name", ["os", "sys", "socket", "ctypes", "subprocess", "threading", "importlib", "io", "pathlib", "pickle", "gc",
             "builtins", "waykeep", "msgspec", "pyarrow.fs", "pyarrow.dataset", "numpy.ctypeslib", "", "mathx"]
)  # fmt: skip
def test_an_author_may_not_import(name: str) -> None:
    assert not preload.may_import(name)


def test_the_libraries_are_those_that_run() -> None:
    installed = preload.installed_libraries()
    assert sorted(installed) == ["h3", "numpy", "pyarrow", "pyproj", "python", "shapely"]
    assert installed["python"] == ".".join(map(str, sys.version_info[:2]))
    assert installed["numpy"] == sys.modules["numpy"].__version__


@pytest.mark.parametrize(
    "change",
    [{"numpy": "0.1"}, {"scipy": "1.0"}, {"h3": None}],
    ids=["another-version", "one-more", "one-less"],
)
def test_a_bundle_of_other_libraries(change: dict[str, str | None]) -> None:
    libraries = {n: v for n, v in (preload.installed_libraries() | change).items() if v is not None}
    loaded = bundle.load(bundle.pack(FILES | {bundle.LIBRARIES: bundle.write_libraries(libraries)}))
    with pytest.raises(AlgorithmError) as error:
        preload.check_bundle(loaded)
    assert error.value.rule == "bundle-libraries-differ"
    assert next(iter(change)) in error.value.message


@pytest.mark.parametrize("path", ["json.py", "numpy/__init__.py", "os.py", "collections/more.py", "pyarrow.py"])
def test_a_bundle_with_the_name_of(path: str) -> None:
    with pytest.raises(AlgorithmError) as error:
        preload.check_bundle(make({path: b""}))
    assert error.value.rule == "bundle-module-shadows"


def test_a_bundle_of_these_libraries_and_names_of_its_own() -> None:
    preload.check_bundle(make({"parts/json.py": b"", "trips.py": b""}))
