"""QR codes: drawn for a screen or a poster, and read from a photograph."""

from __future__ import annotations

import io

import segno

from waykeep.errors import DeviceError

MAX_FILE = 16 << 20
MAX_PIXELS = 40_000_000
SCALE = 8
"""Pixels of a module: a phone reads that from a screen."""


def png(text: str) -> bytes:
    """The picture of a text, in PNG."""
    sink = io.BytesIO()
    segno.make_qr(text, error="m").save(sink, kind="png", scale=SCALE, border=4)
    return sink.getvalue()


def terminal(text: str) -> str:
    """The same in half blocks, dark on light."""
    sink = io.StringIO()
    segno.make_qr(text, error="m").terminal(sink, border=4, compact=True)
    return sink.getvalue()


def read(data: bytes) -> str:
    """The one QR code in a PNG or JPEG.

    Raises:
        DeviceError: ``image-too-large``, ``image-malformed``, ``qr-missing``, ``qr-several``.
    """
    # Not above: only who reads a picture waits for these.
    import zxingcpp
    from PIL import Image, UnidentifiedImageError

    if len(data) > MAX_FILE:
        raise DeviceError("image-too-large", f"found a picture of more than {MAX_FILE >> 20} MiB")
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DeviceError("image-too-large", f"found a picture of more than {MAX_PIXELS:,} pixels")
            found = zxingcpp.read_barcodes(
                image.convert("L"), formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
            )
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise DeviceError(
            "image-malformed", f"found no picture that can be read ({type(error).__name__})", hint="give a PNG or JPEG"
        ) from None
    texts = {code.text for code in found}
    if not texts:
        raise DeviceError("qr-missing", "found no QR code in the picture", hint="try one that is sharper, or larger")
    if len(texts) > 1:
        raise DeviceError("qr-several", "found several QR codes in the picture", hint="cut it to the one that you mean")
    return texts.pop()
