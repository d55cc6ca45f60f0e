"""Simulated sensor and driver with short intervals."""

from typing import Any, Final

from pygnc_devices.sps30.driver import AsyncSps30, Sps30
from pygnc_instruments.simulators.sps30_unit import Sps30Simulator

SAMPLE_S: Final = 0.02


class QuickSps30(Sps30):
    """Synchronous driver with short intervals."""

    @classmethod
    def open(cls, url: str, baud: int = 115_200, **options: Any) -> "QuickSps30":  # noqa: ANN401
        """Open a sensor; see `Sps30.open`."""
        return super().open(url, baud, **{"sample_s": SAMPLE_S} | options)


class QuickAsyncSps30(AsyncSps30):
    """Driver for asyncio with short intervals."""

    @classmethod
    async def open(cls, url: str, baud: int = 115_200, **options: Any) -> "QuickAsyncSps30":  # noqa: ANN401
        """Open a sensor; see `Sps30.open`."""
        return await super().open(url, baud, **{"sample_s": SAMPLE_S} | options)


def measuring_sensor() -> Sps30Simulator:
    """Return a simulated sensor that measures as soon as it has power."""
    return Sps30Simulator(period_s=SAMPLE_S, is_measuring=True)
