"""Photos and depth images, of bounded size: a header may claim anything."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.io.numpy_files import read_array

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".pgm")
OTHER_IMAGE_SUFFIXES = (".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif")
"""Of pictures that are not read."""
FORMATS = ("JPEG", "PNG", "PPM")
"""Pillow's names; the last one is all of Netpbm's."""
MAX_PIXELS = 80_000_000
"""More than most cameras have, and below the 89 million from which Pillow itself takes an image for an attack."""
_MOST_HEADER = 1 << 16
"""Bytes of a Netpbm file in which its header ends."""


class Photo(NamedTuple):
    """A photo as it is shown."""

    pixels: np.ndarray
    """(h, w, 3) uint8 red, green, blue, turned as the camera was held (EXIF)."""
    notes: tuple[str, ...]
    """What was left out: transparency, all pictures of an animation but the first."""


def read_photo(path: Path) -> np.ndarray:
    """(h, w, 3) uint8 red, green, blue, turned as the camera was held (EXIF); transparency is dropped."""
    return read_noted_photo(path).pixels


def read_noted_photo(path: Path) -> Photo:
    """The same with what was left out of it."""
    from PIL import ImageOps

    with _opened(path) as image:
        pixels = _rgb(path, ImageOps.exif_transpose(image))
        notes = []
        # Phones put a second picture into a JPEG, which is no animation.
        if image.format == "PNG" and (count := getattr(image, "n_frames", 1)) > 1:
            notes.append(f"the first of {count:,} pictures of an animation")
        if _is_transparent(image):
            notes.append("transparency dropped")
        return Photo(pixels, tuple(notes))


def read_annotated(path: Path, size: tuple[int, int], annotations: Path) -> np.ndarray:
    """(h, w, 3) uint8 of a photo whose masks are of `size`, (width, height); `annotations` is the file that says so.

    As the sensor stored it where that fits, else turned by its EXIF. `UserError` for another size.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        turned = ImageOps.exif_transpose(image)
        for one in (image, turned):
            if one.size == size:
                return _rgb(path, one)
        raise UserError(
            f"{path}: is {image.width} x {image.height}, {annotations} has masks of {size[0]} x {size[1]} for it; give the "
            "photo that was annotated"
        )


def read_color(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8 of a colour image whose pixels are those of a depth image of `size`, (width, height).

    It is as the sensor stored it, turned by its EXIF only where it fits no other way, and made as small as the depth.
    """
    from PIL import Image, ImageOps

    with _opened(path) as image:
        turned = ImageOps.exif_transpose(image)
        image = turned if _differ(image.size, size) and not _differ(turned.size, size) else image
        if _differ(image.size, size):
            raise UserError(
                f"{path}: is {image.width} x {image.height}, its depth {size[0]} x {size[1]}, of other proportions; "
                "give the colour image that belongs to it"
            )
        rgb = _rgb(path, image)
        if image.size == size:
            return rgb
        return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))


def read_depth(path: Path) -> np.ndarray:
    """(h, w) numbers of a PNG or PGM of 16 bits or of an .npy, as they are stored."""
    if path.suffix.lower() == ".npy":
        array = read_array(path)
        if array.ndim != 2 or array.dtype.kind not in "iuf" or not 0 < array.size <= MAX_PIXELS:
            raise UserError(
                f"{path}: holds {array.shape} {array.dtype}, no depth; save (height, width) numbers"
            )
        return array
    with _opened(path) as image:
        if not _holds_numbers(image):
            raise UserError(
                f"{path}: holds 8 bits a pixel, too few for a depth; save it as a 16-bit PNG in millimetres"
            )
        if image.format == "PPM" and image.mode == "I":
            # Pillow stretches what reaches to another largest number to 65,535.
            return np.rint(np.asarray(image) * (_largest(path) / 65535)).astype(np.uint16)
        return np.asarray(image)


def _largest(path: Path) -> int:
    """What a Netpbm file that Pillow could read names as its largest number, after its width and height."""
    with path.open("rb") as file:
        words = re.sub(rb"#[^\r\n]*", b" ", file.read(_MOST_HEADER)).split(maxsplit=4)
    if len(words) < 4:
        raise UserError(f"{path}: begins with too long a comment; save it again as a 16-bit PNG")
    return int(words[3])


def read_labels(path: Path) -> np.ndarray:
    """(h, w) whole numbers of a PNG of 8 or 16 bits, as they are stored: of one with a palette its indices."""
    with _opened(path) as image:
        if image.format != "PNG" or image.mode not in ("L", "P", "I", "I;16", "I;16B"):
            raise UserError(
                f"{path}: is {image.format} {image.mode}, no labels; save one number a pixel as PNG"
            )
        return np.asarray(image).astype(np.int64)


def _rgb(path: Path, image: "Image") -> np.ndarray:
    if _holds_numbers(image):
        raise UserError(
            f"{path}: holds 16-bit numbers, a depth image; name the folder of it and its colour image, or save a grey "
            "photo with 8 bits"
        )
    return np.asarray(image.convert("RGB"))


def _is_transparent(image: "Image") -> bool:
    """Whether any pixel is."""
    if "A" not in image.getbands():
        return False
    least = image.getchannel("A").getextrema()[0]
    return isinstance(least, int | float) and least < 255


def _holds_numbers(image: "Image") -> bool:
    return image.mode.startswith(("I", "F"))


def _differ(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether proportions differ by more than what rounding and a cropped row or two make (ScanNet's 1296 x 968, 640 x 480)."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) > 0.02


@contextmanager
def _opened(path: Path) -> "Iterator[Image]":
    """The image, decoded; whatever Pillow thinks of a damaged file is a `UserError`."""
    from PIL import Image

    def too_many(size: str) -> UserError:
        return UserError(f"{path}: has {size} pixels, more than {MAX_PIXELS:,}; make it smaller")

    with path.open("rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(file, formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise too_many(f"{image.width:,} x {image.height:,}")
            image.load()
        except (UserError, MemoryError):
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            said = re.search(r"[0-9]+", str(error))
            raise too_many(f"{int(said[0]):,}" if said else "too many") from None
        except Exception as error:  # decoders raise whatever they like
            if isinstance(error, OSError) and error.errno:
                raise
            cause = " ".join(str(error).split()).replace(f"{file!r}", "it")[:120]
            raise UserError(f"{path}: cannot be read ({cause}); save it again as JPEG or PNG") from error
        yield image
