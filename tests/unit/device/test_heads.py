"""What a device remembers of the logs: it never forgets, but for a resume that the owner signed, and it is loud."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.people import refused
from tests.unit.builders import Owner, an_owner
from waykeep.authority.statements import Resumed
from waykeep.device import heads
from waykeep.device.profile import Folder
from waykeep.errors import DeviceError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head


def head(number: int, branch: str = "") -> Head:
    return Head(number, sha256(f"{number}{branch}".encode()))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def owner() -> Owner:
    return an_owner()


def resume(owner: Owner, replaces: Head | None, back_to: Head | None) -> int:
    owner.add(Resumed(replaces, back_to), owner.device)
    return owner.state.head.number


# -- remembering -------------------------------------------------------------------------------------------------------


def test_the_newest_is_remembered_whatever_is_seen_after_it(folder: Folder) -> None:
    for number in (3, 5, 4):
        heads.remember(folder, owner=head(number), journal=head(number + 1), segments=number)
    found = folder.heads()
    assert (found.owner, found.journal, found.segments) == (head(5), head(6), 5)


def test_one_is_remembered_without_the_others(folder: Folder) -> None:
    heads.remember(folder, owner=head(2))
    heads.remember(folder, journal=head(7))
    assert (folder.heads().owner, folder.heads().journal) == (head(2), head(7))


def test_what_is_no_news_writes_nothing(folder: Folder) -> None:
    heads.remember(folder, owner=head(3))
    file = folder.path / "heads.json"
    file.chmod(0o400)
    before = file.stat()
    heads.remember(folder, owner=head(3))
    heads.remember(folder, owner=head(2))
    assert file.stat() == before


# -- the journal -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [None, head(0), head(4)])
def test_a_journal_behind_what_was_seen(folder: Folder, shown: Head | None) -> None:
    heads.see_journal(folder, head(5))
    with refused("journal-rewound", "device"):
        heads.see_journal(folder, shown)
    assert folder.heads().journal == head(5)


def test_a_journal_beside_what_was_seen(folder: Folder) -> None:
    heads.see_journal(folder, head(5))
    with refused("journal-rewound", "device"):
        heads.see_journal(folder, head(5, "other"))
    assert folder.heads().journal == head(5)


def test_a_journal_as_it_was_or_newer(folder: Folder) -> None:
    heads.see_journal(folder, None)
    assert folder.heads().journal is None
    for number in (0, 5, 5, 9):
        heads.see_journal(folder, head(number))
        assert folder.heads().journal == head(number)


def test_the_alarm_says_what_was_seen_what_it_may_mean_and_what_to_do(folder: Folder) -> None:
    heads.see_journal(folder, head(5))
    for shown, words in ((head(3), "ends with record 3"), (None, "is empty"), (head(5, "x"), "another record 5")):
        with pytest.raises(DeviceError) as caught:
            heads.see_journal(folder, shown)
        found = caught.value
        assert found.message.startswith("ALARM: ") and words in found.message and "record 5" in found.message
        assert "restored an old copy" in found.message and "on purpose" in found.message
        assert "waykeep resume" in found.hint


def test_the_alarm_of_the_owner_log_names_the_witness() -> None:
    found = heads.log_rewound("the host shows less")
    assert found.rule == "owner-log-rewound" and found.message.startswith("ALARM: the host shows less.")
    assert "waykeep witness stop" in found.hint


# -- after a resume ----------------------------------------------------------------------------------------------------


def test_a_resume_lets_the_journal_go_back_once(folder: Folder, owner: Owner) -> None:
    heads.see_journal(folder, head(9))
    number = resume(owner, head(9), head(4))
    heads.resumed(folder, owner.state)
    assert (folder.heads().journal, folder.heads().resumed) == (head(4), number)
    # From there it goes on; the same entry does not set it back again.
    heads.see_journal(folder, head(6, "new"))
    heads.resumed(folder, owner.state)
    assert folder.heads().journal == head(6, "new")
    with refused("journal-rewound", "device"):
        heads.see_journal(folder, head(5))


def test_a_resume_from_the_beginning(folder: Folder, owner: Owner) -> None:
    heads.see_journal(folder, head(2))
    resume(owner, head(2), None)
    heads.resumed(folder, owner.state)
    assert folder.heads().journal is None
    heads.see_journal(folder, None)


def test_a_resume_to_a_record_that_was_not_reached_here_sets_nothing_back(folder: Folder, owner: Owner) -> None:
    heads.see_journal(folder, head(3))
    number = resume(owner, head(9), head(4))
    heads.resumed(folder, owner.state)
    assert (folder.heads().journal, folder.heads().resumed) == (head(3), number)


def test_several_resumes_count_one_after_the_other(folder: Folder, owner: Owner) -> None:
    heads.see_journal(folder, head(9))
    resume(owner, head(9), head(4))
    last = resume(owner, head(12), head(2))
    heads.resumed(folder, owner.state)
    assert (folder.heads().journal, folder.heads().resumed) == (head(2), last)


def test_a_log_without_a_resume_changes_nothing(folder: Folder, owner: Owner) -> None:
    heads.see_journal(folder, head(9))
    heads.resumed(folder, owner.state)
    assert (folder.heads().journal, folder.heads().resumed) == (head(9), 0)
