"""Pictures of a release: one number, a histogram, or a table of origins and destinations."""

from __future__ import annotations

import io
from typing import Any

from waykeep.authority import questions
from waykeep.authority.queries import Answer, Checked
from waykeep.authority.studies import Question
from waykeep.errors import DeviceError

FORMATS = ("png", "svg")
_MANY = 40
"""Labels of an axis that can be read."""


def plot(checked: Checked, kind: str) -> bytes:
    """A picture of all answers, one below the other.

    Args:
        kind: ``png`` or ``svg``.

    Raises: DeviceError: ``picture-unknown``.
    """
    if kind not in FORMATS:
        raise DeviceError("picture-unknown", "found a picture that is none of .png and .svg", hint="name it so")
    # Not above: only who draws waits for it. No display is needed, and no time is written into the file.
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "waykeep"
    from matplotlib import pyplot

    study, release = checked.signed.study, checked.release
    figure, axes = pyplot.subplots(len(study.questions), squeeze=False, figsize=(9, 4.2 * len(study.questions)))
    try:
        for place, question, answer in zip(axes[:, 0], study.questions, release.answers, strict=True):
            _draw(place, question, answer)
        figure.suptitle(f"{study.title}: about {release.cohort:,} people, 95 % intervals of the noise")
        figure.tight_layout()
        sink = io.BytesIO()
        figure.savefig(sink, format=kind, metadata={"Date": None} if kind == "svg" else None, dpi=120)
        return sink.getvalue()
    finally:
        pyplot.close(figure)


def _draw(place: Any, question: Question, answer: Answer) -> None:
    shown = [float("nan") if value is None else value / question.per for value in answer.values]
    unit = question.unit or question.value
    place.set_title(question.asks, fontsize=10)
    if len(question.keys) == 2:
        rows, columns = question.keys
        grid = [shown[row * columns.size : (row + 1) * columns.size] for row in range(rows.size)]
        image = place.imshow(grid, cmap="viridis", aspect="auto")
        place.figure.colorbar(image, ax=place, label=unit)
        place.set_ylabel(rows.field)
        place.set_xlabel(columns.field)
        return
    labels = [" ".join(label) or question.value for label in questions.labels(question)]
    error = answer.interval / question.per
    places = range(len(shown))
    place.bar(places, shown, yerr=error if len(shown) <= _MANY else None, color="#90c790", ecolor="#444444", capsize=3)
    step = max(1, len(labels) // _MANY)
    place.set_xticks(list(places)[::step], labels[::step], rotation=0 if len(labels) < 10 else 60, fontsize=8)
    place.set_ylabel(unit)
