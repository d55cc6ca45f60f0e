"""Parser of uploaded mean elements that recognises the format: TLE (two or three lines), or OMM in KVN, XML or JSON."""

from pygnc.common.mean_elements import ELEMENTS_SIZE_MAX, ElementsError, ParsedElements
from pygnc.formats.omm import parse_json, parse_kvn, parse_xml
from pygnc.formats.tle import parse_tle


def parse_elements(content: bytes) -> ParsedElements:
    """Return the mean elements in a file of any supported format.

    Raises:
        ElementsError: The content is too large, is not text, or does not contain usable elements of exactly one object.
    """
    if len(content) > ELEMENTS_SIZE_MAX:
        raise ElementsError(1, f"the file has more than {ELEMENTS_SIZE_MAX} bytes; give one object only")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise ElementsError(line, f"byte {error.start} is not UTF-8 text; copy the file again") from None
    start = text.lstrip()
    if not start or "\0" in text:
        raise ElementsError(1, "the file is empty or not text; give a TLE or an OMM")
    if start.startswith("<"):
        return parse_xml(start if start.startswith("<?xml") else text)
    if start.startswith(("{", "[")):
        return parse_json(text)
    if start.startswith("CCSDS_OMM_VERS"):
        return parse_kvn(text)
    return parse_tle(text)
