"""Comparison of the declarations with the metadata of MicroStrain's MIP SDK, where a clone of the SDK is."""

import re
import struct

import pytest

from pygnc_devices.declaration import Labels
from pygnc_devices.mip.data_field import DataField
from pygnc_devices.mip.fields import FILTER, SENSOR, SHARED, SYSTEM
from pygnc_devices.mip.gnss_fields import GNSS
from tests.pygnc_devices.mip.sdk import Parameter, SdkField, sdk_fields

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
