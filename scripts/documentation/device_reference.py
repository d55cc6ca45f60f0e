"""Reference of the packets and lines of devices, from the declarations of the drivers."""

from pygnc_devices.family import all_families


def packet_page() -> str:
    """Return the page with the packets and lines of all families of devices."""
    parts = [
        "# Packets of devices",
        "Declarations of the drivers in `pygnc_devices`. [Devices](../devices.md) shows their use.",
    ]
    for family in all_families():
        parts.append(f"## {family.title}")
        for record in family.packets:
            parts += [f"### {family.name}: {record.name}", record.meaning, record.table().strip()]
    return "\n\n".join(part for part in parts if part) + "\n"
