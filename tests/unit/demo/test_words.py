from __future__ import annotations

from datetime import UTC

import pytest

from waykeep.demo import words
from waykeep.demo.markup import Html, join, markup


def test_markup_escapes_all_that_is_not_markup() -> None:
    assert (
        markup('<a title="{}">{}{n}</a>', "\"'<&>", Html("<b>"), n=3) == '<a title="&quot;&#x27;&lt;&amp;&gt;"><b>3</a>'
    )
    assert isinstance(join([markup("a"), markup("b")]), Html)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (words.counted(1, "trip"), "one trip"),
        (words.counted(0, "trip"), "no trips"),
        (words.counted(2, "person", "people"), "two people"),
        (words.counted(1234, "trip"), "1,234 trips"),
        (words.size(999), "999 bytes"),
        (words.size(3400), "3.4 kB"),
        (words.size(41_200_000), "41.2 MB"),
        (words.size(2_000_000_000), "2.00 GB"),
        (words.length(640), "640 m"),
        (words.length(4240), "4.2 km"),
        (words.length(812_000), "812 km"),
        (words.duration(45), "45 s"),
        (words.duration(3599), "1 h 00 min"),
        (words.duration(7500), "2 h 05 min"),
        (words.milliseconds(0.42), "0.42 ms"),
        (words.milliseconds(9.96), "10.0 ms"),
        (words.milliseconds(18.4), "18 ms"),
        (words.milliseconds(1240), "1.24 s"),
        (words.day(0, UTC), "Thu 1 Jan 1970"),
        (words.clock(3_600_000, UTC), "01:00"),
    ],
)
def test_words(shown: str, expected: str) -> None:
    assert shown == expected
