"""Pictures of a release, in both formats and of each form of answer."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.unit.builders import refused
from tests.unit.studying import a_query, a_question, a_study, opened
from waykeep.authority import queries
from waykeep.authority.queries import Answer, Checked, Release
from waykeep.authority.studies import Axis
from waykeep.device import plots
from waykeep.errors import DeviceError
from waykeep.privacy.bounds import Bounds

QUESTIONS = (
    a_question(),
    a_question(name="hours", keys=(Axis("hour", 24),), bounds=Bounds(24, 0, 5, 3, 9), per=10, unit="trips"),
    a_question(name="ways", keys=(Axis("from", 7), Axis("to", 7)), bounds=Bounds(49, 0, 5, 3, 9), threshold=0),
)


@pytest.fixture(scope="module")
def checked() -> Checked:
    signed = opened(a_study(questions=QUESTIONS))
    values = ((12,), tuple(range(24)), tuple(None if n % 5 == 0 else n for n in range(49)))
    answers = tuple(Answer(v, queries.interval(q)) for q, v in zip(QUESTIONS, values, strict=True))
    return Checked(signed, Release(a_query(signed.digest), answers, 120, signed.study.cost, {}))


def test_a_picture_shows_all_answers(checked: Checked) -> None:
    with Image.open(io.BytesIO(plots.plot(checked, "png"))) as image:
        assert image.width > 800 and image.height > 1200
        assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 20


def test_a_drawing_holds_its_words_and_is_the_same_each_time(checked: Checked) -> None:
    found = plots.plot(checked, "svg")
    assert found == plots.plot(checked, "svg")
    assert b"<svg" in found and b"dc:date" not in found


@pytest.mark.parametrize("kind", ["", "jpg", "pdf", "svg.exe"])
def test_another_kind_is_refused(checked: Checked, kind: str) -> None:
    with refused("picture-unknown", DeviceError):
        plots.plot(checked, kind)
