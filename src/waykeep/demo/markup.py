"""HTML in which nothing is forgotten to be escaped: text becomes `Html` only through these functions."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import LiteralString


class Html(str):
    """Markup that is safe to put into a page as it is."""

    __slots__ = ()


def markup(template: LiteralString, *args: object, **kwargs: object) -> Html:
    """Fills a template of the form of `str.format`; each value that is not `Html` itself is escaped.

    Values stand in the text of an element or in an attribute in double quotes, nowhere else.
    """
    return Html(template.format(*map(_escaped, args), **{name: _escaped(value) for name, value in kwargs.items()}))


def join(parts: Iterable[Html]) -> Html:
    """Pieces of markup one after the other."""
    return Html("".join(parts))


def _escaped(value: object) -> Html:
    return value if isinstance(value, Html) else Html(html.escape(str(value)))
