import errno
import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from aimv2_lab.data import images
from aimv2_lab.data.damage import DamagedImage
from aimv2_lab.data.images import FORMATS, MINIMUM_SIDE, PIXEL_LIMIT, check_header, decode_image, decode_pixels
from tests.data.generated import encoded, picture


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_lossless_files_come_back_exactly(form: str) -> None:
    decoded = decode_image(encoded(picture(1), form), "key")
    assert decoded.mode == "RGB"
    assert np.array_equal(pixels(decoded), pixels(picture(1)))


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
def test_lossy_files_come_back_nearly(form: str) -> None:
    assert np.abs(pixels(decode_image(encoded(picture(2), form), "key")) - pixels(picture(2))).mean() < 8


def test_a_decoded_picture_passes_unchanged() -> None:
    assert np.array_equal(pixels(decode_image(picture(3), "key")), pixels(picture(3)))


def test_greyscale_becomes_three_equal_channels() -> None:
    grey = picture(4).convert("L")
    assert np.array_equal(pixels(decode_image(encoded(grey), "key")), np.repeat(pixels(grey)[..., None], 3, axis=2))


def test_bits_become_black_and_white() -> None:
    bits = picture(4).convert("1")
    assert np.array_equal(pixels(decode_image(encoded(bits), "key"))[..., 1], pixels(bits) * 255)


def test_a_palette_becomes_its_colours() -> None:
    palette = picture(5).quantize(16)
    assert np.array_equal(pixels(decode_image(encoded(palette), "key")), pixels(palette.convert("RGB")))


def test_cmyk_keeps_its_colours() -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    decoded = pixels(decode_image(encoded(inks, "JPEG", quality=95), "key"))
    assert (decoded[..., 0] > 240).all()
    assert (decoded[..., 1:] < 15).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(mode: str) -> None:
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 8, 16))
    image.paste((0, 0, 0, 51), (12, 0, 16, 16))  # one fifth black
    decoded = pixels(decode_image(encoded(image.convert(mode)), "key"))
    assert [int(decoded[0, column, 0]) for column in (0, 9, 13)] == [0, 255, 204]


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_becomes_white(mode: str) -> None:
    image = Image.new("RGB", (16, 16), (10, 10, 10))
    image.paste((90, 90, 90), (8, 0, 16, 16))
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    data = encoded(image, transparency=image.getpixel((0, 0)))
    decoded = pixels(decode_image(data, "key"))
    assert (decoded[0, 0] == 255).all()
    assert (decoded[0, 12] == 90).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_greyscale_is_scaled_not_clipped(form: str) -> None:
    values = np.linspace(0, 65535, 64 * 8).reshape(8, 64).astype(np.uint16)
    decoded = pixels(decode_image(encoded(Image.fromarray(values), form), "key"))
    assert np.array_equal(decoded[..., 0], np.round(values / 257).astype(int))
    assert np.array_equal(decoded[..., 0], decoded[..., 2])


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 3
    assert (pixels(decode_image(data, "key")) == [255, 0, 0]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG"])
def test_exif_orientation_is_applied(orientation: int, form: str) -> None:
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = pixels(decode_image(encoded(image, form, exif=exif), "key"))
    # Where the corner stored first must be seen, from the definition of the tag: row and column of the 0th pixel.
    top, left = orientation in (1, 2, 5, 6), orientation in (1, 4, 5, 8)
    assert decoded.shape[:2] == ((16, 32) if orientation < 5 else (32, 16))
    assert decoded[0 if top else -1, 0 if left else -1].min() > 200
    assert decoded[-1 if top else 0, -1 if left else 0].max() < 60


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(form: str, kept: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    data = encoded(noise, form)
    with pytest.raises(DamagedImage, match=r"truncated|undecodable") as damage:
        decode_image(data[: int(len(data) * kept)], "a key")
    assert damage.value.key == "a key"


@pytest.mark.parametrize("data", [b"no picture at all", b"\xff\xd8\xff", b"<svg></svg>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedImage, match="undecodable"):
        decode_image(data, "key")


def test_formats_outside_the_list_are_refused() -> None:
    with pytest.raises(DamagedImage, match="undecodable"):
        decode_image(encoded(picture(0), "PPM"), "key")


def test_a_header_tells_what_it_can() -> None:
    """A picture that cannot be opened, or states a size that is refused; not one that is cut off behind its header."""
    good = encoded(picture(0, 64, 64), "JPEG")
    check_header(io.BytesIO(good), "key")
    check_header(io.BytesIO(good[: len(good) - 100]), "key")
    for wrong, reason in ((good[:30], "undecodable|truncated"), (encoded(picture(0, 4, 64)), "too small")):
        with pytest.raises(DamagedImage, match=reason):
            check_header(io.BytesIO(wrong), "key")


def test_an_error_of_the_file_system_is_no_damage_of_the_picture() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "in passing")

    with pytest.raises(OSError, match="in passing"):
        check_header(Failing(), "key")


def test_reasons_do_not_change_from_run_to_run() -> None:
    with pytest.raises(DamagedImage) as damage:
        decode_image(b"no picture", "key")
    assert "0x" not in damage.value.reason  # no address in memory


def test_zero_bytes_are_refused() -> None:
    with pytest.raises(DamagedImage, match="zero bytes"):
        decode_image(b"", "key")


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8001, 12_000, 60_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_before_decoding(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _image: pytest.fail("decoded"))
    assert side * side > PIXEL_LIMIT
    with pytest.raises(DamagedImage, match="too many pixels"):
        decode_image(png_header(side, side), "key")


def test_bombs_are_refused_where_warnings_are_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DamagedImage, match="too many pixels"):
            decode_image(png_header(12_000, 12_000), "key")


@pytest.mark.parametrize("size", [(1, 1), (MINIMUM_SIDE - 1, 300), (300, MINIMUM_SIDE - 1)])
def test_a_tiny_picture_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(DamagedImage, match="too small"):
        decode_image(encoded(Image.new("RGB", size)), "key")
    assert decode_image(encoded(Image.new("RGB", (MINIMUM_SIDE, MINIMUM_SIDE))), "key").size == (8, 8)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(DamagedImage, match="floating-point"):
        decode_image(encoded(Image.new("F", (16, 16)), "TIFF"), "key")


def test_32_bit_values_are_refused() -> None:
    image = Image.fromarray(np.full((16, 16), 70_000, dtype=np.int32))
    with pytest.raises(DamagedImage, match="more than 16 bits"):
        decode_image(encoded(image, "TIFF"), "key")


def test_pillow_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    decode_image(encoded(picture(0)), "key")
    with pytest.raises(DamagedImage):
        decode_image(encoded(picture(0))[:60], "key")
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


JPEGS: dict[str, dict[str, Any]] = {
    "colour": {"quality": 90},
    "full colour": {"quality": 95, "subsampling": 0},
    "progressive": {"quality": 80, "progressive": True},
    "grey": {"mode": "L"},
    "inks": {"mode": "CMYK"},
}


def jpeg(kind: str) -> bytes:
    options = {"mode": "RGB"} | JPEGS[kind]
    return encoded(picture(5, 70, 41).convert(options.pop("mode")), "JPEG", **options)


@pytest.mark.parametrize("kind", JPEGS)
def test_pixels_are_pillows_whoever_decodes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = pixels(decode_image(jpeg(kind), "key"))
    with_extra = decode_pixels(jpeg(kind), "key")
    monkeypatch.setattr(images, "_simplejpeg", None)
    assert np.array_equal(decode_pixels(jpeg(kind), "key"), theirs)
    assert with_extra.shape == theirs.shape and with_extra.dtype == np.uint8
    assert np.array_equal(with_extra, theirs)


def test_plain_jpegs_are_not_decoded_by_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is installed, as here; other files are."""
    monkeypatch.setattr(images, "decode_image", lambda image, key: Image.new("RGB", (1, 1)))
    assert {kind: decode_pixels(jpeg(kind), "key").shape != (1, 1, 3) for kind in JPEGS} == {
        kind: kind != "inks" for kind in JPEGS
    }
    assert decode_pixels(encoded(picture(0)), "key").shape == (1, 1, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_pixels_stand_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(6, 40, 24), "JPEG", exif=exif)
    assert np.array_equal(decode_pixels(data, "key"), pixels(decode_image(data, "key")))


def test_an_orientation_is_found_wherever_it_stands() -> None:
    """In XMP alone, or behind segments longer than one may be."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    exif = Image.Exif()
    exif[0x0112] = 6
    late = encoded(picture(6, 40, 24), "JPEG", exif=exif)
    filler = b"\xff\xed" + struct.pack(">H", 65_535) + bytes(65_533)
    for data in (encoded(picture(6, 40, 24), "JPEG", xmp=xmp), late[:2] + 2 * filler + late[2:]):
        assert decode_pixels(data, "key").shape == (40, 24, 3)
        assert np.array_equal(decode_pixels(data, "key"), pixels(decode_image(data, "key")))


@pytest.mark.parametrize(("data", "reason"), [(jpeg("colour")[:-300], "truncated"), (b"", "zero bytes")])
def test_what_is_damaged_is_refused_whoever_decodes(data: bytes, reason: str) -> None:
    with pytest.raises(DamagedImage, match=reason):
        decode_pixels(data, "key")


def test_jpegs_of_too_many_pixels_or_too_few_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PIXEL_LIMIT", 70 * 41 - 1)
    with pytest.raises(DamagedImage, match="too many pixels"):
        decode_pixels(jpeg("colour"), "key")
    with pytest.raises(DamagedImage, match="too small"):
        decode_pixels(encoded(picture(0, 40, MINIMUM_SIDE - 1), "JPEG"), "key")
