"""Random streams: independent noise for each sensor from one seed."""

import numpy as np


def noise_generator(seed: int, sensor: str) -> np.random.Generator:
    """Return the random generator of one sensor.

    The stream depends only on the seed and the sensor's name: adding, removing or changing a sensor does not change the
    noise of the others.
    """
    return np.random.default_rng([seed, *sensor.encode()])


def partner_seed(seed: int, partner_id: int) -> int:
    """Return the seed of a partner's own sensors."""
    return int(noise_generator(seed, f"partner {partner_id}").integers(1 << 32))
