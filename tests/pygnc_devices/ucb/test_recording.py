"""Vectorised decoder compared with the streaming scanner, and on a recording."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.framing import scan_to_end
from pygnc_devices.ucb.framing import make_frame, scan
from pygnc_devices.ucb.recording import scan_recording
from pygnc_devices.ucb.unit import PACKETS
from tests.reference import recording

PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([make_frame("PK"), make_frame("S1", bytes(24)), make_frame("CH", make_frame("PK")), b"\x55\x55"]),
    st.binary(max_size=255).map(lambda payload: make_frame("zz", payload)),
    st.binary(max_size=40).map(lambda payload: make_frame("zz", payload)[:-1]),
)


@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_both_paths_find_the_same_frames(octets: bytes) -> None:
    slow, fast = scan_to_end(scan, octets), scan_recording(octets)
    assert fast.starts.tolist() == [frame.start for frame in slow.frames]
    assert fast.skipped_bytes == sum(damage.stop - damage.start for damage in slow.damage)


@pytest.mark.parametrize(("name", "kind", "count"), [("dmu380_s1.raw", "S1", 1002), ("openimu_z1.raw", "z1", 2127)])
def test_both_paths_give_the_same_values_of_a_recording(name: str, kind: str, count: int) -> None:
    octets = recording(f"../aceinna/{name}").read_bytes()
    table, packet = scan_recording(octets), PACKETS[kind]
    assert table.count(kind) == count
    values = table.values(packet)
    for row, frame in zip(values, scan_to_end(scan, octets).frames, strict=True):
        assert dict(zip(values.dtype.names or (), row.tolist(), strict=True)) == pytest.approx(
            packet.decode(frame.payload)
        )


def test_the_recorded_imu_at_rest_measures_gravity() -> None:
    octets = recording("../aceinna/dmu380_s1.raw").read_bytes()
    values = scan_recording(octets).values(PACKETS["S1"])
    force = np.sqrt(sum(np.mean(values[f"accel_{axis}_mps2"]) ** 2 for axis in "xyz"))
    assert force == pytest.approx(9.8, abs=0.05)
