"""Pictures as PNG and JPEG files: the header says how large they are before anything is unpacked. Pillow decodes them."""

import io
import warnings

import numpy as np

from rnnsim.core.reading.files import Damaged, Unreadable, name_of, opened, read_bytes, size_of
from rnnsim.errors import RnnsimError

MOST_BYTES = 2**28
MOST_PIXELS = 2**25
_KINDS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # of 8 bits a value; others lose what is beyond


def is_picture(path):
    """Whether a file begins as a PNG or JPEG picture does. Raises `Unreadable` as `read_bytes`.

    A pipe and a device are none: what is taken from them is lost.
    """
    with opened(path) as file:
        return bool(size_of(file)) and _kind(file.read(8)) is not None


def _kind(data):
    """The name of the kind of picture that begins with these bytes, or None."""
    return next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)


def read_picture(path):
    """(H, W, 3) uint8: the pixels of a PNG or JPEG file, red, green and blue.

    Grey pictures have three equal values, transparent pixels lie on white, a picture is turned as its camera notes.

    Raises `Unreadable` if the file has more than 256 MiB or the picture more than 2^25 pixels, which its header says, and
    `Damaged` for another type of file, 16 bits a value, and what Pillow cannot decode.

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "a.png"
    ...     Image.new("L", (2, 1), 7).save(path)
    ...     read_picture(path).tolist()
    [[[7, 7, 7], [7, 7, 7]]]
    """
    from PIL import Image, ImageOps

    data, where = read_bytes(path, MOST_BYTES), name_of(path)
    kind = _kind(data)
    if kind is None:
        raise Damaged(f"{where}: expected a PNG or JPEG picture, it begins with {data[:6].hex() or 'nothing'}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and of odd metadata
            with Image.open(io.BytesIO(data), formats=[kind]) as picture:
                width, height = picture.size
                if width * height > MOST_PIXELS:
                    raise Unreadable(f"{where}: {width:,} x {height:,} pixels, expected at most {MOST_PIXELS:,}")
                if picture.mode not in _MODES:
                    raise Damaged(f"{where}: pixels of type {picture.mode}, expected 8 bits a value")
                turned = ImageOps.exif_transpose(picture)
                if turned.has_transparency_data:
                    turned = turned.convert("RGBA")
                    white = Image.new("RGBA", turned.size, "white")
                    turned = Image.alpha_composite(white, turned)
                return np.array(turned.convert("RGB"))
    except Image.DecompressionBombError:
        raise Unreadable(f"{where}: more than {MOST_PIXELS:,} pixels") from None
    except (RnnsimError, MemoryError):
        raise
    except Exception:  # damaged bytes make Pillow raise all kinds of them
        raise Damaged(f"{where}: damaged or cut short") from None
