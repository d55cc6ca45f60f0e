"""Firmware images: what is checked before a unit is told to give up the firmware it has.

The units' processors are ARM Cortex-M. An image is what lies in flash from the application's first address on, and
begins with the vector table: initial stack pointer (in RAM) and address of the reset handler (in flash, odd), little-
endian. So do the images that Aceinna and others have published for the OpenIMU300.
"""

import hashlib
import struct
from typing import Final

from pygnc_devices.errors import DeviceError

LONGEST_IMAGE: Final = 1 << 20
"""Bytes: the largest flash of these processors."""
_SHORTEST_IMAGE: Final = 1024
_WORD_BYTES: Final = 4
_RAM: Final = range(0x2000_0000, 0x2010_0001)
_FLASH: Final = range(0x0800_0000, 0x0820_0000)
_KNOWN_AS_SOMETHING_ELSE: Final = {
    b"\x7fELF": "an ELF file: objcopy -O binary makes an image of it",
    b":1": "an Intel HEX file: objcopy -I ihex -O binary makes an image of it",
    b":0": "an Intel HEX file: objcopy -I ihex -O binary makes an image of it",
    b"S0": "an S-record file: objcopy -I srec -O binary makes an image of it",
    b"PK\x03\x04": "a ZIP archive: the image is inside",
    b"<": "a web page: the download went wrong",
    b"{": "JSON text",
}


class ImageError(DeviceError):
    """This is no firmware image; nothing was sent to the unit."""


def check_image(image: bytes, *, any_content: bool = False, sha256: str = "") -> None:
    """Accept an image.

    Args:
        image: all bytes of it.
        any_content: do without the look at the vector table, for a processor of another kind.
        sha256: what its maker says that it has; "" to do without.

    Raises:
        ImageError: it is none; the message says why.
    """
    if sha256 and hashlib.sha256(image).hexdigest() != sha256.lower():
        raise ImageError(f"the image's SHA-256 is {hashlib.sha256(image).hexdigest()}, not {sha256.lower()}")
    if not image:
        raise ImageError("the image is empty")
    if len(image) > LONGEST_IMAGE:
        raise ImageError(f"the image has {len(image)} bytes; no unit takes more than {LONGEST_IMAGE}")
    if any_content:
        return
    for beginning, what in _KNOWN_AS_SOMETHING_ELSE.items():
        if image.startswith(beginning):
            raise ImageError(f"this is {what}")
    if len(image) < _SHORTEST_IMAGE or len(image) % _WORD_BYTES:
        raise ImageError(f"{len(image)} bytes are no image: at least {_SHORTEST_IMAGE}, in words of four; is it whole?")
    stack, reset = struct.unpack_from("<II", image)
    if stack not in _RAM or reset not in _FLASH or not reset & 1:
        raise ImageError(
            f"the image does not begin with a vector table: stack pointer {stack:#010x}, reset handler {reset:#010x}"
        )
