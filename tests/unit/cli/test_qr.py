"""QR codes as they are drawn, decoded by another library than the one that drew them."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
import zxingcpp
from PIL import Image

from tests.support.people import refused
from tests.unit.formats.test_proposal import LEAST, WHOLE
from waykeep.cli import qr
from waykeep.formats import proposal

TEXTS = [proposal.write(LEAST), proposal.write(WHOLE)]


def picture(array: np.ndarray, kind: str = "PNG") -> bytes:
    sink = io.BytesIO()
    Image.fromarray(array).save(sink, kind)
    return sink.getvalue()


@pytest.mark.parametrize("text", TEXTS, ids=["least", "whole"])
def test_a_png_is_decoded_to_what_was_drawn(text: str) -> None:
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(qr.png(text))))
    assert found.text == text == qr.read(qr.png(text))
    assert proposal.parse(qr.read(qr.png(text))) in (LEAST, WHOLE)


def test_a_photograph_of_one_is_read() -> None:
    """Turned, on grey, with noise, as JPEG."""
    code = Image.open(io.BytesIO(qr.png(TEXTS[1]))).convert("L").rotate(7, expand=True, fillcolor=200)
    noisy = np.clip(np.asarray(code, dtype=float) + np.random.default_rng(7).normal(0, 12, code.size[::-1]), 0, 255)
    assert qr.read(picture(noisy.astype("uint8"), "JPEG")) == TEXTS[1]


@pytest.mark.parametrize("text", TEXTS, ids=["least", "whole"])
def test_the_terminal_s_blocks_are_decoded_to_what_was_drawn(text: str) -> None:
    lines = [line for line in _plain(qr.terminal(text)).splitlines() if line]
    halves = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    rows = [[halves[sign][half] for sign in line] for line in lines for half in (0, 1)]
    dark = np.array(rows, dtype="uint8") * 255
    for shown in (dark, 255 - dark):
        found = zxingcpp.read_barcodes(np.kron(np.pad(shown, 4, constant_values=255), np.ones((6, 6), "uint8")))
        if found:
            assert found[0].text == text
            return
    raise AssertionError("no code in what the terminal shows")


def _plain(text: str) -> str:
    """Without the sequences that choose colours."""
    parts = text.split("\x1b[")
    return parts[0] + "".join(part.partition("m")[2] for part in parts[1:])


def test_two_codes_are_refused() -> None:
    one, other = (np.asarray(Image.open(io.BytesIO(qr.png(text))).convert("L")) for text in ("one", "other"))
    with refused("qr-several", "device"):
        qr.read(picture(np.hstack([one, other])))
    assert qr.read(picture(np.hstack([one, one]))) == "one", "the same twice is one"


def test_a_picture_without_a_code_is_refused() -> None:
    with refused("qr-missing", "device"):
        qr.read(picture(np.full((200, 200), 255, "uint8")))


@pytest.mark.parametrize("data", [b"", b"no picture", qr.png("x")[:40], qr.png("x")[:-200], b"GIF89a" + b"0" * 50])
def test_image_malformed(data: bytes) -> None:
    with refused("image-malformed", "device"):
        qr.read(data)


def test_a_bomb_is_refused_by_its_header() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    def bomb(side: int) -> bytes:
        header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")

    with refused("image-too-large", "device"):
        qr.read(bomb(7000))
    for side in (60_000, 1_000_000):
        with pytest.raises(Exception, match="picture") as caught:
            qr.read(bomb(side))
        assert getattr(caught.value, "rule", "") in ("image-too-large", "image-malformed")


def test_a_file_that_is_too_large_is_refused() -> None:
    with refused("image-too-large", "device"):
        qr.read(bytes(qr.MAX_FILE + 1))
