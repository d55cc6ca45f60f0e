"""Lists of the data and the settings of units with the MIP protocol, for docs/devices.md."""

from pygnc_devices.mip.fields import DATA_SETS, SHARED


def data_lists() -> str:
    """Return the fields of each data set; sets with the same fields are one entry."""
    names: dict[int, list[str]] = {}
    parts = {id(fields): fields for _, fields in DATA_SETS.values()}
    for key, (name, fields) in DATA_SETS.items():
        names.setdefault(id(fields), []).append(f"`{name}` ({key:#x})")
    entries = [(", ".join(names[key]), fields) for key, fields in parts.items()]
    return "".join(
        f"- **{title}**: {', '.join(f'`{part.name}`' for part in fields)}\n"
        for title, fields in [*entries, ("all sets", SHARED)]
    )
