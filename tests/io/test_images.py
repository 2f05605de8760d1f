"""Images from the outside: turned as they were held, of bounded size, and never taken for what they are not."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gestalt3d.errors import UserError
from gestalt3d.io import load_input
from gestalt3d.io.images import MAX_PIXELS, read_color, read_depth, read_noted_photo, read_photo


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, bits: int = 8, color: int = 2, data: bytes = b"") -> bytes:
    """A PNG whose header may claim more than its data hold."""
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def photo(height: int = 4, width: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


DAMAGED = {
    "empty": b"",
    "words": b"this is no image",
    "a header alone": png(10, 10)[:33],
    "cut off": png(10, 10, data=bytes(310))[:-30],
    "fewer rows than claimed": png(10, 10, data=bytes(100)),
    "many pixels": png(20_000, 20_000),
    "more pixels than numbers have": png(2**31 - 1, 2**31 - 1),
    "just too many": png(MAX_PIXELS // 1000 + 1, 1000),
    "no pixels": png(0, 10),
    "a GIF": b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;",
    "a cut JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "a PGM's magic number": b"P5",
    "a PGM's header": b"P5 10 10 65535\n",
    "a cut PGM": b"P5 10 10 65535\n" + bytes(150),
    "a cut PGM of another largest number": b"P5 10 10 4095\n" + bytes(150),
    "a cut PPM": b"P6\n10 10\n255\n" + bytes(250),
    "a PGM with words for numbers": b"P2 2 1 1000\n12 many",
    "a PGM with a number beyond the largest": b"P2 2 1 1000\n12 1001",
    "a PGM of many pixels": b"P5 20000 20000 65535\n" + bytes(100),
    "a PGM of more pixels than numbers have": b"P5 9999999999 9999999999 65535\n",
    "a PGM without a pixel": b"P5 0 10 65535\n",
    "a PGM without a largest number": b"P5 10 10 0\n" + bytes(200),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("read", [read_photo, read_depth])
def test_what_is_no_whole_image_is_refused_in_one_line(tmp_path: Path, name: str, read) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(UserError, match=r"a\.png: ") as refusal:
        read(path)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300 + len(str(path))
    if "pixels" in name and name != "no pixels":
        assert "more than 80,000,000" in str(refusal.value)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((10_000, 10_000), "100,000,000 pixels|10,000 x 10,000 pixels"),
        ((9_000, 9_000), "9,000 x 9,000 pixels"),
        ((30_000, 30_000), "900,000,000 pixels"),
    ],
)
def test_an_image_of_too_many_pixels_is_refused_with_its_size(
    tmp_path: Path, size: tuple[int, int], said: str
) -> None:
    (tmp_path / "a.png").write_bytes(png(*size))
    with pytest.raises(UserError, match=rf"a\.png: has ({said}), more than 80,000,000; make it smaller"):
        read_photo(tmp_path / "a.png")


def test_what_is_left_out_of_a_photo_is_told(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.roll(photo(), i)) for i in range(3)]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:])
    animated = read_noted_photo(tmp_path / "a.png")
    assert (animated.pixels == photo()).all()
    assert (
        animated.notes == load_input(tmp_path / "a.png").notes == ("the first of 3 pictures of an animation",)
    )
    for alpha, notes in ((255, ()), (254, ("transparency dropped",))):
        Image.fromarray(np.dstack([photo(), np.full((4, 6), alpha, np.uint8)])).save(tmp_path / "b.png")
        assert read_noted_photo(tmp_path / "b.png").notes == notes
    pictures[0].save(tmp_path / "c.jpg", format="MPO", save_all=True, append_images=pictures[1:])
    assert read_noted_photo(tmp_path / "c.jpg").notes == ()


def test_print_colours_and_sixteen_bits_of_colour_become_eight_of_red_green_and_blue(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6, 4), (0, 255, 255, 0), np.uint8), "CMYK").save(
        tmp_path / "a.jpg", quality=95
    )
    assert np.abs(read_photo(tmp_path / "a.jpg").astype(int) - [255, 0, 0]).max() < 4
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in photo())
    (tmp_path / "b.png").write_bytes(png(6, 4, bits=16, data=rows))
    assert (read_photo(tmp_path / "b.png") == photo()).all()
    Image.fromarray(photo()[:1, :1]).save(tmp_path / "c.png")
    assert read_photo(tmp_path / "c.png").shape == (1, 1, 3)


def test_pictures_of_other_kinds_are_refused_by_their_kind(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "a.gif")
    with pytest.raises(UserError, match=r"a\.gif: pictures are read as JPEG and PNG; save it as one of them"):
        load_input(tmp_path / "a.gif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_the_camera_was_held(tmp_path: Path, orientation: int) -> None:
    upright = photo()
    # What a camera stores so that the viewer, having done what EXIF says, shows it upright.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), upright)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_colour_becomes_red_green_and_blue(tmp_path: Path, mode: str) -> None:
    Image.fromarray(photo()).convert(mode).save(tmp_path / "a.png")
    read = read_photo(tmp_path / "a.png")
    assert read.shape == (4, 6, 3) and read.dtype == np.uint8
    np.testing.assert_array_equal(read, np.asarray(Image.open(tmp_path / "a.png").convert("RGB")))


def test_depth_keeps_its_sixteen_bits(tmp_path: Path) -> None:
    depth = np.array([[0, 1, 255], [256, 40_000, 65_535]], np.uint16)
    Image.fromarray(depth).save(tmp_path / "depth.png")
    np.testing.assert_array_equal(read_depth(tmp_path / "depth.png"), depth)
    np.save(tmp_path / "depth.npy", depth / 1000)
    np.testing.assert_array_equal(read_depth(tmp_path / "depth.npy"), depth / 1000)


@pytest.mark.parametrize("largest", [256, 1000, 4095, 65_534, 65_535])
def test_a_pgm_keeps_its_numbers_whatever_the_largest_may_be(tmp_path: Path, largest: int) -> None:
    depth = np.random.default_rng(0).integers(0, largest + 1, (5, 7)).astype(">u2")
    depth[0, :2] = 0, largest
    path = tmp_path / "depth.pgm"
    path.write_bytes(b"P5 # of a camera\n7\n# wide\n5 %d\n" % largest + depth.tobytes())
    np.testing.assert_array_equal(read_depth(path), depth)
    words = " ".join(map(str, depth.ravel().tolist()))
    path.write_text(f"P2 7 5 {largest}\n{words}\n")
    np.testing.assert_array_equal(read_depth(path), depth)


def test_ppm_and_pgm_are_photos_and_a_pgm_of_eight_bits_is_no_depth(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "a.ppm")
    np.testing.assert_array_equal(read_photo(tmp_path / "a.ppm"), photo())
    np.testing.assert_array_equal(read_color(tmp_path / "a.ppm", (6, 4)), photo())
    grey = photo()[..., 0]
    Image.fromarray(grey).save(tmp_path / "a.pgm")
    np.testing.assert_array_equal(read_photo(tmp_path / "a.pgm"), grey[..., None].repeat(3, 2))
    for name in ("a.pgm", "a.ppm"):
        with pytest.raises(UserError, match="too few for a depth"):
            read_depth(tmp_path / name)
    Image.fromarray(np.full((4, 6), 900, np.uint16)).save(tmp_path / "b.pgm")
    with pytest.raises(UserError, match="16-bit numbers, a depth image"):
        read_photo(tmp_path / "b.pgm")


def test_a_pgm_whose_header_is_one_long_comment_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 #" + b"-" * 70_000 + b"\n2 1 65535\n" + bytes(4))
    with pytest.raises(UserError, match=r"a\.pgm: begins with too long a comment"):
        read_depth(path)


def test_depth_and_colour_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 6), np.uint16)).save(tmp_path / "depth.png")
    Image.fromarray(photo()).save(tmp_path / "color.png")
    np.save(tmp_path / "points.npy", np.zeros((5, 3, 2)))
    with pytest.raises(UserError, match="16-bit numbers, a depth image"):
        read_photo(tmp_path / "depth.png")
    with pytest.raises(UserError, match="too few for a depth"):
        read_depth(tmp_path / "color.png")
    with pytest.raises(UserError, match="no depth"):
        read_depth(tmp_path / "points.npy")


def test_a_larger_colour_image_becomes_as_small_as_its_depth(tmp_path: Path) -> None:
    small = photo(8, 12)
    Image.fromarray(small.repeat(3, 0).repeat(3, 1)).save(tmp_path / "color.png")
    np.testing.assert_array_equal(read_color(tmp_path / "color.png", (12, 8)), small)
    with pytest.raises(UserError, match="other proportions"):
        read_color(tmp_path / "color.png", (12, 12))
