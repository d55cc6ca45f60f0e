"""Broadcast ephemerides: their files and subframes against another program, and the choice among them."""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.gnss import rinex_navigation
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.lnav import Messages, Subframe, words_of
from pygnc_ground.gnss.measurements import SPEED_OF_LIGHT_M_S, GnssOrbits
from tests.fakes.lnav import sent_words, subframe_words
from tests.pygnc_ground.gnss.broadcast_tables import DECODED, NAVIGATION_FILE, REAL_SUBFRAME, STATES, SUBFRAMES

_HOUR_NS = 3600 * 10**9


def navigation() -> rinex_navigation.Navigation:
    return rinex_navigation.read(NAVIGATION_FILE)


@pytest.mark.parametrize(("satellite", "toe_ms", "after_s", "position_m", "clock_s"), STATES)
def test_states_agree_with_rtklib(
    satellite: str, toe_ms: int, after_s: float, position_m: tuple[float, ...], clock_s: float
) -> None:
    orbits: GnssOrbits = BroadcastOrbits(navigation().ephemerides)
    found = orbits.states(satellite, np.array([toe_ms]), np.array([after_s]))
    assert found.position_ecef_m[0] == pytest.approx(position_m, abs=1e-6)
    relativity_s = -2.0 * found.position_ecef_m[0] @ found.velocity_ecef_mps[0] / SPEED_OF_LIGHT_M_S**2
    # The Earth's rotation adds nothing to r . v. Broadcast clocks leave out the effect of the flattening, 2 cm.
    assert found.clock_s[0] + relativity_s == pytest.approx(clock_s, abs=0.03 / SPEED_OF_LIGHT_M_S)
    assert found.sigma_m[0] == pytest.approx(0.25 * 2.0, abs=0.4)


def test_velocity_is_the_derivative_of_the_position() -> None:
    orbits = BroadcastOrbits(navigation().ephemerides)
    satellite, toe_ms, *_ = STATES[0]
    times_s = np.array([-1000.5, -1000.0, -999.5])
    found = orbits.states(satellite, np.full(3, toe_ms), times_s)
    difference = found.position_ecef_m[2] - found.position_ecef_m[0]
    assert found.velocity_ecef_mps[1] == pytest.approx(difference, abs=1e-4)


def orbits_of(**changes: npt.ArrayLike) -> BroadcastOrbits:
    """Return the orbits of copies of one ephemeris with other values."""
    count = max(np.size(values) for values in changes.values())
    table = np.repeat(navigation().ephemerides[:1], count)
    for name, values in changes.items():
        table[name] += np.asarray(values).astype(table.dtype[name])
    return BroadcastOrbits(table)


def test_the_nearest_healthy_ephemeris_within_its_fit_interval_is_chosen() -> None:
    hours_ns = _HOUR_NS * np.arange(0, 8, 2)
    orbits = orbits_of(
        toe_gps_ns=hours_ns, sent_gps_ns=hours_ns, iode=[0, 1, 2, 3], iodc=[0, 1, 2, 3], health=[0, 0, 1, 0]
    )
    satellite, toe_ns = orbits.satellites[0], int(orbits.table["toe_gps_ns"][0])
    after_ns = np.array([-2.1, -2.0, 0.9, 1.1, 3.9, 4.1, 8.0, 8.1]) * _HOUR_NS
    chosen = orbits.choose(satellite, toe_ns + after_ns.astype(np.int64))
    assert chosen.tolist() == [-1, 0, 0, 1, 1, 3, 3, -1]
    assert orbits.choose("G32", np.array([toe_ns])).tolist() == [-1]
    assert orbits.choose("R05", np.array([toe_ns])).tolist() == [-1]
    assert orbits.span_gps_ms == ((toe_ns - 2 * _HOUR_NS) // 10**6, (toe_ns + 8 * _HOUR_NS) // 10**6)


def test_a_mixture_of_two_messages_is_not_used_and_a_repeated_one_once() -> None:
    orbits = orbits_of(iode=[0, 0, 1], iodc=[0, 0, 0])
    assert orbits.mixed.tolist() == [False, False, True]
    assert len(orbits.table) == 1


# --- Files ----------------------------------------------------------------------------------------------------------


def test_the_header_has_the_coefficients_of_the_ionosphere() -> None:
    assert navigation().klobuchar == (
        (1.49e-08, 7.451e-09, -1.192e-07, -5.96e-08),
        (106500.0, 32770.0, -262100.0, -65540.0),
    )


def as_version_3(content: bytes) -> bytes:
    """Return a file of RINEX 2 in RINEX 3, with a record of another system before the others."""
    lines = content.decode().splitlines()
    end = next(k for k, line in enumerate(lines) if "END OF HEADER" in line)
    made = [
        f"{'     3.04':20}{'N: GNSS NAV DATA':20}{'M: MIXED':20}RINEX VERSION / TYPE",
        f"{'GPSA   1.4900D-08  7.4510D-09 -1.1920D-07 -5.9600D-08':60}IONOSPHERIC CORR",
        f"{'GPSB   1.0650D+05  3.2770D+04 -2.6210D+05 -6.5540D+04':60}IONOSPHERIC CORR",
        f"{'':60}END OF HEADER",
        "R05 2015 10 07 00 15 00" + 3 * " 0.000000000000D+00",
        *3 * ["    " + 4 * " 0.000000000000D+00"],
    ]
    for line in lines[end + 1 :]:
        if line[:2].strip():
            day = f"G{int(line[:2]):02d} 20{line[3:5]} {line[6:8]} {line[9:11]} {line[12:14]} {line[15:17]} 00"
            made.append(day.replace("  ", " 0") + line[22:])
        else:
            made.append(" " + line)
    return ("\n".join(made) + "\n").encode()


def test_version_3_has_the_same_ephemerides() -> None:
    found = rinex_navigation.read(as_version_3(NAVIGATION_FILE))
    assert found.damage == ()
    assert found.passed_over == 1
    assert found.klobuchar == navigation().klobuchar
    assert (found.ephemerides == navigation().ephemerides).all()


def test_what_is_written_is_read() -> None:
    content = rinex_navigation.write_navigation(navigation().ephemerides, navigation().klobuchar)
    found = rinex_navigation.read(content)
    assert found.damage == ()
    assert found.klobuchar == navigation().klobuchar
    expected = np.sort(navigation().ephemerides, order=("toe_gps_ns", "prn"))
    for name in expected.dtype.names or ():
        assert found.ephemerides[name].tolist() == pytest.approx(expected[name].tolist(), rel=1e-12), name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a RINEX navigation file"),
        (NAVIGATION_FILE.replace(b"     2   ", b"     4.00", 1), "RINEX 4.00 is not supported"),
        (NAVIGATION_FILE.split(b"END OF HEADER")[0], "lacks END OF HEADER"),
        (as_version_3(NAVIGATION_FILE).replace(b"M: MIXED", b"R: GLO  "), "the system 'R' only"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_remedy(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rinex_navigation.read(content)


def test_a_damaged_record_is_reported_with_its_line_and_the_others_are_read() -> None:
    lines = NAVIGATION_FILE.splitlines(keepends=True)
    first = next(k for k, line in enumerate(lines) if b"END OF HEADER" in line) + 1
    lines[first + 2] = lines[first + 2].replace(b"D", b"?")
    found = rinex_navigation.read(b"".join(lines))
    assert len(found.ephemerides) == 2
    (damage,) = found.damage
    assert damage.detail.startswith(f"line {first + 1}: ")
    assert damage.detail.endswith("is not a number")


@given(data=st.data())
def test_every_byte_of_a_damaged_file_is_used_or_reported(data: st.DataObject) -> None:
    content = data.draw(st.sampled_from([NAVIGATION_FILE, as_version_3(NAVIGATION_FILE)]))
    whole = rinex_navigation.read(content).ephemerides
    octets = bytearray(content)
    begin = content.index(b"END OF HEADER") + 14
    for _ in range(data.draw(st.integers(0, 5))):
        octets[data.draw(st.integers(begin, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(begin, len(octets)))
    found = rinex_navigation.read(bytes(octets[:cut]))
    assert found.used_bytes + sum(one.stop - one.start for one in found.damage) == cut
    assert len(found.ephemerides) <= len(whole)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_with_a_message(tail: bytes) -> None:
    content = NAVIGATION_FILE[:81] + tail
    try:
        found = rinex_navigation.read(content)
    except ValueError:
        return
    assert found.used_bytes + sum(one.stop - one.start for one in found.damage) == len(content)


# --- Subframes ------------------------------------------------------------------------------------------------------


def frames(values: dict[str, int] = SUBFRAMES) -> list[list[int]]:
    return [subframe_words(number, 93_600 + 6 * number, values) for number in (1, 2, 3)]


def subframe_of(words: Sequence[int]) -> Subframe:
    found = Subframe.of(words)
    assert found is not None
    return found


def test_subframes_are_decoded_as_by_rtklib() -> None:
    messages = Messages()
    assert [messages.add(7, subframe_of(words)) for words in frames()] == [False, False, True]
    week_ns = 604_800 * 10**9
    (found,) = messages.ephemerides(near_gps_ns=2890 * week_ns)
    for name, value in DECODED.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    assert found["prn"] == 7
    # The message states week 841 modulo 1024.
    assert found["toe_gps_ns"] == found["toc_gps_ns"] == (841 + 2048) * week_ns + 100_800 * 10**9
    assert found["sent_gps_ns"] == (841 + 2048) * week_ns + 93_606 * 10**9
    (found,) = messages.ephemerides(near_gps_ns=1800 * week_ns)
    assert found["toe_gps_ns"] == (841 + 1024) * week_ns + 100_800 * 10**9


def test_subframes_of_two_issues_are_not_mixed() -> None:
    messages = Messages()
    old, new = frames(), frames(SUBFRAMES | {"iode": 134, "iodc": 134, "toe": 6750})
    for words in (old[0], old[1], new[2], new[0], new[1]):
        messages.add(7, subframe_of(words))
    assert messages.ephemerides(0)["iode"].tolist() == [134]


def test_times_after_the_end_of_the_week() -> None:
    messages = Messages()
    for number in (1, 2, 3):
        words = subframe_words(number, 604_800 - 24 + 6 * number, SUBFRAMES | {"toe": 0, "toc": 0})
        messages.add(7, subframe_of(words))
    (found,) = messages.ephemerides(0)
    assert found["toe_gps_ns"] % (604_800 * 10**9) == 0
    assert found["toe_gps_ns"] - found["sent_gps_ns"] == 18 * 10**9


@pytest.mark.parametrize("form", ["sent", "turned", "data"])
def test_parity_of_words_in_each_form(form: str) -> None:
    for words in frames():
        sent = sent_words(words, form)
        found = words_of(sent)
        assert found is not None
        # Bits 23 and 24 of words 2 and 10 are chosen for the parity.
        assert [word & ~3 for word in found] == [word & ~3 for word in words]
        for number in range(10):
            for bit in range(30):
                wrong = list(sent)
                wrong[number] ^= 1 << bit
                assert words_of(wrong) is None, (number, bit)


def test_parity_of_a_real_subframe() -> None:
    words = [word & 0x3FFFFFFF for word in struct.unpack("<10I", REAL_SUBFRAME)]
    found = words_of(words)
    assert found is not None
    subframe = subframe_of(found)
    assert (subframe.number, subframe.tow_s) == (4, 231_228)


def test_the_model_of_the_ionosphere_is_in_page_18_of_subframe_4() -> None:
    words = subframe_words(4, 93_624, {})
    words[2] |= 56 << 16 | 16 << 8 | 255
    words[4] |= 254
    messages = Messages()
    messages.add(7, subframe_of(words))
    assert messages.klobuchar == ((16 * 2.0**-30, -(2.0**-27), 0.0, 0.0), (0.0, 0.0, 0.0, -2.0 * 2**16))


@given(st.lists(st.integers(0, (1 << 24) - 1), max_size=12), st.integers(1, 32))
def test_any_words_are_a_subframe_or_none(words: list[int], prn: int) -> None:
    subframe = Subframe.of(words)
    if subframe is not None:
        Messages().add(prn, subframe)
