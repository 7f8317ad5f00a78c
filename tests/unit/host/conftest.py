from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.host.rig import Host, Person, running


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host for the tests of one module; each test brings its own people."""
    with running(tmp_path_factory.mktemp("host")) as found:
        yield found


@pytest.fixture
def person(host: Host) -> Person:
    """A person registered at `host`, with key list 1."""
    found = Person()
    host.register(found)
    return found
