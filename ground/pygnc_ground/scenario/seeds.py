"""Independent noise for each sensor from one seed."""

import numpy as np


def noise_generator(seed: int, sensor: str) -> np.random.Generator:
    """The noise of one sensor.

    The stream depends on the seed and the sensor's name alone: a sensor added, removed or set otherwise leaves the
    noise of all others as it was.
    """
    return np.random.default_rng([seed, *sensor.encode()])


def partner_seed(seed: int, partner_id: int) -> int:
    """The seed of a partner's own sensors, from that of the scenario."""
    return int(noise_generator(seed, f"partner {partner_id}").integers(1 << 32))
