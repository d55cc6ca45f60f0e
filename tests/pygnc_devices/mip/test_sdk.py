"""Comparison of the declarations with the metadata of MicroStrain's MIP SDK, where a clone of the SDK is."""

import re
import struct

import pytest

from pygnc_devices.declaration import Labels
from pygnc_devices.mip.actions import ACTIONS, Action
from pygnc_devices.mip.data_field import DataField
from pygnc_devices.mip.fields import FILTER, SENSOR, SHARED, SYSTEM
from pygnc_devices.mip.gnss_fields import GNSS
from pygnc_devices.mip.settings import SETTINGS, SettingCommand
from pygnc_devices.mip.values import Values
from tests.pygnc_devices.mip.sdk import Parameter, SdkField, sdk_fields

COMMANDS = {"commands_base": 0x01, "commands_3dm": 0x0C, "commands_filter": 0x0D, "commands_aiding": 0x13}
DATA = {"data_shared": SHARED, "data_sensor": SENSOR, "data_gnss": GNSS, "data_filter": FILTER, "data_system": SYSTEM}


def expanded(codes: str) -> str:
    """Struct codes without counts; bytes and padding are single bytes."""
    return re.sub(r"(\d*)([a-zA-Z])", lambda m: {"x": "B", "s": "B"}.get(m[2], m[2]) * int(m[1] or 1), codes)


def sdk_codes(field: SdkField) -> str:
    """Codes of a field of the SDK; reserved parameters are single bytes."""
    return "".join("B" * struct.calcsize(p.codes) if p.name == "reserved" else p.codes for p in field.parameters)


def assert_labels(labels: Labels | None, parameter: Parameter) -> None:
    if labels is None or not parameter.entries:
        return
    values = {value for _, value in parameter.entries}
    if labels.is_bit_field:
        values = {value.bit_length() - 1 for value in values if value.bit_count() == 1}
    assert set(labels.names) == values, parameter.name


@pytest.mark.parametrize("name", DATA)
def test_all_data_fields_have_the_layout_of_the_sdk(name: str) -> None:
    known = sdk_fields(name)
    declared = {part.descriptor: part for part in DATA[name]}
    assert {key: expanded(part.layout.format[1:]) for key, part in declared.items()} == {
        key: sdk_codes(field) for key, field in known.items()
    }
    for key, field in known.items():
        assert_the_labels_of_data(declared[key], field)


def assert_the_labels_of_data(part: DataField, field: SdkField) -> None:
    labels = [entry.labels for entry in part.fields for _ in range(len(expanded(entry.code)))]
    for parameter in field.parameters:
        if parameter.name != "reserved":
            assert_labels(labels[0], parameter)
            del labels[: len(parameter.codes)]


def codes_of(values: Values) -> str:
    """Codes of values; those of entries and variants are in parentheses, unless all variants have the same codes."""
    codes = "".join(expanded(word.code) for word in values.words)
    if values.entry is not None:
        codes += f"B({codes_of(values.entry)})"
    variants = [codes_of(variant) for variant in values.variants.values()]
    return codes + (variants[0] if len(set(variants)) == 1 else "".join(f"({variant})" for variant in variants))


def assert_the_command_of_the_sdk(entry: SettingCommand, known: dict[int, SdkField]) -> None:
    command, reply = known[entry.command], known[entry.reply]
    assert command.functions == entry.functions, entry.name
    for field, skipped in ((command, ""), (reply, "H" if entry.read_only else "")):
        selector = "".join(parameter.codes for parameter in field.parameters if parameter.is_echoed)
        assert struct.calcsize(f">{selector}") == len(entry.selector), entry.name
        values = [parameter for parameter in field.parameters if not parameter.is_echoed]
        codes = "".join(parameter.codes for parameter in values).replace("(d)(d)(d)(d)", "dd")
        codes = codes.replace("(fff)(ffff)", "ffff" if entry.is_view else "fff")
        assert codes == skipped + codes_of(entry.values), entry.name
    for word, parameter in zip(entry.values.words, (p for p in command.parameters if not p.is_echoed), strict=False):
        assert_labels(word.labels, parameter)


@pytest.mark.parametrize("name", COMMANDS)
def test_all_settings_are_commands_of_the_sdk(name: str) -> None:
    known = sdk_fields(name)
    entries = [
        entry for setting in SETTINGS.values() for entry in setting.commands if entry.descriptor_set == COMMANDS[name]
    ]
    for entry in entries:
        assert_the_command_of_the_sdk(entry, known)
    assert {entry.command for entry in entries} == {key for key, field in known.items() if "r" in field.functions}


OPERATIONS = {0x06, 0x07, 0x0B, 0x0D, 0x0E, 0x30}
"""Commands of the set 3DM that operations of their own carry out: base rates, poll, all settings."""


def assert_the_action_of_the_sdk(entry: Action, known: dict[int, SdkField]) -> None:
    command = known[entry.command]
    codes = ("B" if command.functions else "") + command.codes
    assert codes == codes_of(entry.values), entry.name
    for word, parameter in zip(entry.values.words, command.parameters, strict=False):
        assert_labels(word.labels, parameter)
    if entry.reply is not None:
        reply = known[entry.reply]
        echoed = sum(struct.calcsize(parameter.codes) for parameter in reply.parameters if parameter.is_echoed)
        codes = "".join(parameter.codes for parameter in reply.parameters if not parameter.is_echoed)
        assert (entry.echo, codes_of(entry.result)) == (echoed, codes), entry.name


@pytest.mark.parametrize("name", ["commands_3dm", "commands_filter", "commands_aiding"])
def test_all_other_commands_of_the_sdk_are_actions(name: str) -> None:
    known = sdk_fields(name)
    entries = [entry for entry in ACTIONS.values() if entry.descriptor_set == COMMANDS[name]]
    for entry in entries:
        assert_the_action_of_the_sdk(entry, known)
    others = {key for key, field in known.items() if "r" not in field.functions and "Response" not in field.name}
    assert {entry.command for entry in entries} == others - (OPERATIONS if name == "commands_3dm" else set())
