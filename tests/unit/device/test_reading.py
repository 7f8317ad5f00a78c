"""The owner's own rows as the user cloud gives them: with the word which epochs are missing, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.people import points, refused
from tests.unit.channel import serving
from tests.unit.channel.serving import DEVICE, NOW_MS, Echo, connect
from tests.unit.vault.segmenting import LOG, SECRETS, STATE_KEY
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.channel.trust import Trust
from waykeep.device import keystore
from waykeep.device.account import MISSING_HEADER, Account
from waykeep.device.connecting import Session
from waykeep.device.keystore import KeyFile
from waykeep.device.profile import Folder, Profile
from waykeep.device.trusting import default_policy
from waykeep.formats import table

PROFILE = Profile(LOG.owner, "http://127.0.0.1:1", Trust({}, ReferenceValues((), {}), default_policy()))
ROWS = points(NOW_MS, 3)


class Cloud(Echo):
    """A user cloud of other code: it says of missing epochs what it is told.

    Attributes:
        said: The header's text, or None for no header.
    """

    said: str | None = ""

    async def rows(self, _: Request) -> Response:
        headers = {} if self.said is None else {MISSING_HEADER: self.said}
        return Response(table.to_parquet(ROWS), headers=headers)

    def routes(self) -> list[Route]:
        return [*super().routes(), Route("/v1/rows", self.rows)]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr(serving, "Echo", Cloud)
    with serving.serving() as found:
        assert isinstance(found, Cloud)
        yield found


@pytest.fixture
def device(cloud: Cloud, tmp_path: Path) -> Iterator[Account]:
    folder, lock = Folder(tmp_path / "home"), KeyFile(tmp_path / "key", create=True)
    folder.create(PROFILE)
    keystore.save(folder.keystore, SECRETS, lock)
    with Account(folder, lock, lambda: NOW_MS) as found:
        found._connector._session = Session(connect(cloud.address, DEVICE), STATE_KEY.public)
        yield found


def read(device: Account) -> tuple[pa.Table, tuple[int, ...]]:
    return device.read("location", 0, 2 * NOW_MS)


def test_all_rows(device: Account, cloud: Cloud) -> None:
    assert device.rows("location", 0, 2 * NOW_MS).to_pylist() == ROWS.to_pylist()


def test_rows_with_epochs_that_are_missing(device: Account, cloud: Cloud) -> None:
    cloud.said = "1,12"
    found, missing = read(device)
    assert (found.num_rows, missing) == (3, (1, 12))
    with refused("epochs-missing", "device"):
        device.rows("location", 0, 2 * NOW_MS)


@pytest.mark.parametrize("said", [None, "-", "-1", "x", "1;2", "1, 2", "1.5", "\N{SUPERSCRIPT TWO}"])
def test_rows_that_do_not_say_which_epochs_are_missing(device: Account, cloud: Cloud, said: str | None) -> None:
    """Silence must not pass for 'none': less would be taken for all."""
    cloud.said = said
    with refused("rows-malformed", "device"):
        read(device)
