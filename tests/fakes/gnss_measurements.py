"""Raw measurements without physics, for readers and writers."""

import numpy as np

from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, L2_WAVELENGTH_M, GnssMeasurements, ReceiverFacts


def measurements(epochs: int = 4, satellites: int = 3, *, first_ms: int = 1_280_000_000_000) -> GnssMeasurements:
    """Return measurements with distinct values that have as many digits as files and messages."""
    count = epochs * satellites
    rng = np.random.default_rng(5)
    code_m = np.round(rng.uniform(2.0e7, 2.6e7, (4, count)), 3)
    cycles = np.round(rng.uniform(-1.3e8, 1.3e8, (2, count)), 3)
    lock = np.zeros((2, count), dtype=np.uint8)
    lock[0, ::5], lock[1, ::7] = 1, 3
    return GnssMeasurements(
        gps_ms=first_ms + 10_000 * np.repeat(np.arange(epochs), satellites),
        fraction_s=np.full(count, 0.0),
        satellite=np.array([f"G{number:02d}" for number in (5, 17, 31)[:satellites] * epochs]),
        code_l1_m=code_m[0],
        code_p1_m=code_m[1],
        code_p2_m=code_m[2],
        phase_l1_m=L1_WAVELENGTH_M * cycles[0],
        phase_l2_m=L2_WAVELENGTH_M * cycles[1],
        signal_to_noise_l1_db_hz=np.round(rng.uniform(25.0, 50.0, count)),
        signal_to_noise_l2_db_hz=np.round(rng.uniform(25.0, 50.0, count)),
        loss_of_lock_l1=lock[0],
        loss_of_lock_l2=lock[1],
        facts=ReceiverFacts(marker="SAT", receiver="MODEL", antenna="PATCH", interval_s=10.0),
    )
