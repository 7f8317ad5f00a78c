"""What a supervisor refuses before it starts anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.builders import refused
from waykeep.errors import SupervisorError
from waykeep.node import __main__ as program
from waykeep.supervisor import service


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives user clouds uids of their own")
def test_a_store_that_other_uids_cannot_reach(tmp_path: Path) -> None:
    store = tmp_path / "closed" / "store"
    store.mkdir(parents=True)
    for folder in (store, *store.parents):
        if folder.is_relative_to(tmp_path.parent.parent):
            folder.chmod(folder.stat().st_mode | 0o001)
    service._check_reachable(store)
    store.parent.chmod(0o700)
    with refused("store-unreachable", SupervisorError):
        service._check_reachable(store)


@pytest.mark.parametrize("idle_s", ["0", "-1", "nan", "inf", "1e7", "soon"])
def test_an_idle_time_that_is_none(tmp_path: Path, idle_s: str, capsys: pytest.CaptureFixture[str]) -> None:
    places = [f"--{name}={tmp_path / name}" for name in ("state", "store", "socket")]
    with pytest.raises(SystemExit) as caught:
        program.main([*places, "--idle-s", idle_s])
    assert caught.value.code == 2
    assert "--idle-s" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
