import io

import pytest
from rich.console import Console

from pygnc.formats.damage import AnomalyReason, DamageReason
from pygnc_ground.inspection.render import format_value, label, render
from pygnc_ground.inspection.sections import TEXTS, Entry, Facts, Listing, Note, Section, Value


def printed(section: Section) -> str:
    output = io.StringIO()
    Console(file=output, width=100, color_system=None).print(render(section))
    return output.getvalue()


def test_every_reason_of_damage_and_of_anomalies_has_a_meaning() -> None:
    assert set(TEXTS["damage"]) == set(DamageReason)
    assert set(TEXTS["anomalies"]) == set(AnomalyReason)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("size_bytes", "size [B]"),
        ("position_ecef_m", "position ecef [m]"),
        ("gyro_imu_rad_s", "gyro imu [rad/s]"),
        ("satellites_used", "satellites used"),
        ("s", "s"),
        ("orbit.measurement.noise_scale_min", "orbit.measurement.noise_scale_min"),
    ],
)
def test_the_unit_in_a_name_is_shown_as_one(name: str, shown: str) -> None:
    assert label(name) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("size_bytes", 1_234_567, "1 234 567"),
        ("t_spacecraft_s", 1_606_694_391, "1606694391"),
        ("position_ecef_m", 4_897_631.38, "4897631.380"),
        ("gyro", -0.0231231231, "-0.0231231"),
        ("lux", 9728.0, "9728"),
        ("nis", float("nan"), "unknown"),
        ("far", 1e30, "1e+30"),
        ("flag", True, "yes"),
        ("nothing", None, "–"),
        ("raw", b"\x01\x02", "0102"),
        ("raw", bytes(30), "0000000000000000… (30 B)"),
        ("vector", (1.0, 2.5), "1 2.5"),
        ("rows", [[1, 2], [3]], "(1 2) (3)"),
        ("rows", [], "none"),
        ("map", {"a": 1, "b": "x"}, "{a 1, b x}"),
    ],
)
def test_values_are_formatted(name: str, value: Value, shown: str) -> None:
    assert format_value(name, value) == shown


@pytest.mark.parametrize(
    "section",
    [
        Facts("\x1b[2J", {"\x1b[2J": "[red]\x1b[2J"}),
        Listing("t", ("a",), [("[red]\x1b[2J",)]),
        Entry("\x1b[2J", {"\x1b[2J": {"[red]": "[red]\x1b[2J\n"}}),
        Note("[red]\x1b[2J"),
    ],
    ids=["facts", "listing", "entry", "note"],
)
def test_file_contents_cannot_control_the_terminal(section: Section) -> None:
    text = printed(section)
    assert "\x1b" not in text
    assert r"\x1b[2J" in text
    assert "[red]" in text


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    lines = printed(Listing("t", ("count",), [(1,), (100,)])).splitlines()
    assert lines[-1].index("100") + 2 == lines[-2].index("1")


def test_the_name_of_a_column_is_shown_in_one_piece() -> None:
    name = "sigma_innovation_x_ecef_m"
    assert name in printed(
        Listing("columns", ("column", "type", "meaning"), [(name, 30 * "Float64", 30 * "expected ")])
    )
