"""Lists of the data and the settings of units with the MIP protocol, for docs/devices.md."""

from itertools import groupby

from pygnc_devices.mip.actions import ACTIONS
from pygnc_devices.mip.fields import DATA_SETS, SHARED
from pygnc_devices.mip.settings import SETTINGS, SettingCommand


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


def settings_list() -> str:
    """Return the settings with what people write; those of one command are one entry."""
    ordered = sorted(SETTINGS.values(), key=_place)
    groups = groupby(ordered, key=_place)
    return "".join(f"- {_entry(list(entries))}\n" for _, entries in groups)


def _place(entry: SettingCommand) -> tuple[int, int, bool]:
    return entry.descriptor_set, entry.command, entry.is_view


def commands_list() -> str:
    """Return the commands with their values and results."""
    entries = (
        f"- **`{entry.name}`**: {entry.meaning}"
        + (f": `{entry.values.usage}`" if entry.values.usage else "")
        + (f"; returns `{entry.result.usage}`" if entry.reply is not None else "")
        for entry in ACTIONS.values()
    )
    return "\n".join(entries) + "\n"


def _entry(entries: list[SettingCommand]) -> str:
    first = entries[0]
    names = [f"`{entry.name}`" for entry in entries]
    if len(names) > 3 and first.name[-1] == "1":
        names = [f"{names[0]} to {names[-1]}"]
    usage = "field:divider,..." if first.name.startswith("format.") else first.values.usage
    variants = [
        f"`{first.values.words[-1].to_text(value)}`: `{following.usage}`"
        for value, following in first.values.variants.items()
        if following.words
    ]
    at_once = "; acts at once and is not in snapshots" if first.is_momentary else ""
    return f"**{', '.join(names)}**: {first.meaning}{at_once}: {', '.join([f'`{usage}`', *variants])}"
