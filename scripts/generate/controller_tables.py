"""Generate the tables in scripts/controller/pygnc_controller.py from the declarations of sentences and status."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pygnc.formats import status
from pygnc.formats.layout import format_of
from pygnc.host.sentence import Delivery
from pygnc.host.sentence_types import ACKN, HELO, TYPES, Sender
from scripts.generate.status_reader import with_tables

CONTROLLER: Final = Path(__file__).resolve().parents[1] / "controller" / "pygnc_controller.py"
_SHOWN: Final = (
    *(
        "version",
        "phase",
        "size",
        "generation",
        "run_number",
        "uptime_s",
        "spacecraft_time_s",
        "gps_week",
        "gps_tow_ms",
    ),
    *("orbit_mode", "orbit_gps_week", "orbit_gps_tow_ms", "orbit_age_s", "position_ecef_m", "velocity_ecef_mps"),
    *("position_sigma_m", "velocity_sigma_mps", "attitude_mode", "quaternion", "rate_body_rad_s"),
    *(f"partner{k}_{name}" for k in range(status.PARTNERS) for name in ("id", "rtn_m")),
    *("events", "damaged_bytes", "fixes_received", "fixes_accepted"),
)
"""Fields and vectors of the status record that the module decodes."""


def controller() -> str:
    """Return the required content of the module."""
    return with_tables(CONTROLLER, tables())


def tables() -> str:
    """Return the tables as source text."""
    numbered = [kind for kind in TYPES.values() if kind.delivery is not Delivery.UNNUMBERED]
    host = {kind.name: (str(kind.delivery), format_of(kind.fields)) for kind in numbered if kind.sender != Sender.PI}
    pi = {kind.name: format_of(kind.fields) for kind in numbered if kind.sender != Sender.HOST}
    text = (
        "# Delivery (r ordered, i unordered) and fields of the host's sentences; bytes after the fields are passed as"
        f" `tail`.\n{_table('HOST_SENTENCES', host)}"
        "# Fields of the Pi's sentences; `fields` returns them and the bytes after them.\n"
        f"{_table('PI_SENTENCES', pi)}"
        f"HELLO = {format_of(HELO.fields)!r}\nACKNOWLEDGEMENT = {format_of(ACKN.fields)!r}\n\n"
        "# Offsets of the most important fields of a status record. Later versions only append fields.\n"
        f"{_table('STATUS', _places())}"
    )
    return text.replace("'", '"').replace('host"s', "host's").replace('Pi"s', "Pi's")


def _table(name: str, rows: Mapping[str, object]) -> str:
    return f"{name} = {{\n" + "".join(f"    {key!r}: {value!r},\n" for key, value in rows.items()) + "}\n"


def _places() -> dict[str, tuple[int, str]]:
    """Return offset and code of each field; a vector has the offset of its first component and their number."""
    found: dict[str, tuple[int, str]] = {}
    offset = 0
    for field in status.FIELDS:
        name = next((name for name in (field.name, field.name[:-2]) if name in _SHOWN), "")
        if name:
            first, code = found.get(name, (offset, ""))
            found[name] = first, f"{int(code[:-1] or 1) + 1}{field.code}" if code else field.code
        offset += field.size
    return found
