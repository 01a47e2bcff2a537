"""From an encoded file to an RGB picture: what is converted and how, and what is refused and why."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from importlib import import_module
from typing import IO, Any

import numpy as np
from PIL import Image

from aimv2_lab.data.damage import DamagedImage

PIXEL_LIMIT = 64_000_000  # larger pictures are taken for decompression bombs; our choice, below Pillow's own 89 M
MINIMUM_SIDE = 8  # pixels; smaller pictures show nothing (tracking pixels, spacers); our choice
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")  # of files in these formats

# What Pillow's decoders raise on wrong bytes; want of memory is not among them.
_DECODER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
try:
    _simplejpeg: Any = import_module("simplejpeg")
except ImportError:  # it belongs to the extra "fast"
    _simplejpeg = None
_JPEG, _JPEG_COLOURS = b"\xff\xd8\xff", ("Gray", "YCbCr")
_MAY_TURN = (b"Exif", b"http://ns.adobe.com/xap/")  # where Pillow finds an orientation: EXIF and XMP
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(image: bytes | Image.Image, key: str) -> Image.Image:
    """Decode one picture to 8-bit RGB, upright.

    Converted: greyscale and palette to RGB; transparency composited on white; 16-bit greyscale scaled by 1/257, not
    clipped; CMYK and other colour spaces by Pillow's arithmetic, colour profiles ignored; of an animation the first
    frame; the EXIF orientation is applied. Raises DamagedImage with `key` and a reason for zero bytes, undecodable or
    truncated files, formats other than `FORMATS`, more than `PIXEL_LIMIT` pixels (read from the header, before any is
    decoded), a side below `MINIMUM_SIDE`, and floating-point pixels. Wrong bytes that the decoder itself accepts, as
    inside a JPEG's compressed data, go unnoticed. All rules are our choice.
    """
    if isinstance(image, Image.Image):
        return _converted(_loaded(image, key), key)
    if not image:
        raise DamagedImage(key, "zero bytes")
    return _converted(_loaded(_opened(io.BytesIO(image), key), key), key)


def check_header(file: IO[bytes], key: str) -> None:
    """Read an encoded picture's header alone; raises DamagedImage where `decode_image` would refuse the picture for it.

    What is damaged behind the header goes unnoticed.
    """
    _check_size(_opened(file, key), key)


def _opened(file: IO[bytes], key: str) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DamagedImage(key, f"too many pixels: {error}") from None
    except _DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:  # the file system's, not the picture's
            raise
        raise _undecodable(key, error) from None


def _check_size(image: Image.Image, key: str) -> None:
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise DamagedImage(key, f"too many pixels: {width} x {height}, more than {PIXEL_LIMIT:,}")
    if min(width, height) < MINIMUM_SIDE:
        raise DamagedImage(key, f"too small: {width} x {height}, a side below {MINIMUM_SIDE} pixels")


def decode_pixels(image: bytes | Image.Image, key: str) -> np.ndarray:
    """8-bit RGB pixels (height, width, 3) of a picture, upright; the rules, and what is refused, are `decode_image`'s.

    Plain JPEGs are decoded by simplejpeg where it is installed, to the same pixels and faster; what it finds fault
    with is left to Pillow.
    """
    pixels = _plain_jpeg(image) if isinstance(image, bytes) and _simplejpeg is not None else None
    return np.asarray(decode_image(image, key)) if pixels is None else pixels


def _plain_jpeg(image: bytes) -> np.ndarray | None:
    """The pixels of a sound JPEG without an orientation, in the usual colours and of a size that is allowed."""
    if not image.startswith(_JPEG) or any(mark in image for mark in _MAY_TURN):
        return None
    with suppress(ValueError):
        height, width, colours, _ = _simplejpeg.decode_jpeg_header(image)
        if colours in _JPEG_COLOURS and width * height <= PIXEL_LIMIT and min(width, height) >= MINIMUM_SIDE:
            pixels: np.ndarray = _simplejpeg.decode_jpeg(image, fastdct=False, fastupsample=False, strict=True)
            return pixels
    return None


def _loaded(image: Image.Image, key: str) -> Image.Image:
    """Check the size that the header states, decode the first frame and turn it upright."""
    _check_size(image, key)
    try:
        image.load()
    except _DECODER_ERRORS as error:
        raise _undecodable(key, error) from None
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _undecodable(key: str, error: Exception) -> DamagedImage:
    kind = "truncated" if "truncated" in str(error).lower() else "undecodable"
    detail = str(error).partition(" <")[0]  # Pillow names the buffer and its address: never twice the same
    return DamagedImage(key, f"{kind}: {type(error).__name__} {detail}".rstrip())


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1 … 8; 1 (upright) where it is absent or its block unreadable."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _DECODER_ERRORS:  # damaged metadata say nothing about the pixels
        return 1


def _converted(image: Image.Image, key: str) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _from_16_bits(image, key)
    if image.mode == "F":
        raise DamagedImage(key, "floating-point pixels: their range is not known")
    if image.has_transparency_data or image.mode in ("La", "RGBa", "PA"):
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return image.convert("RGB")


def _from_16_bits(image: Image.Image, key: str) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise DamagedImage(key, f"more than 16 bits: values {values.min()} … {values.max()}")
    return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
