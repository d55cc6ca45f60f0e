"""Markdown tables, and the figures in them."""

from collections.abc import Sequence

import numpy as np

from pygnc_ground.orbit.solution import FloatArray


def spread(values: Sequence[float]) -> str:
    """Median and extremes."""
    return f"{np.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def rms(values: Sequence[float] | Sequence[FloatArray] | FloatArray) -> float:
    """Root mean square of all."""
    return float(np.sqrt(np.mean(np.square(values))))


def head(*names: str) -> None:
    """Print the head of a table."""
    line(*names)
    print("|" + "---|" * len(names))


def line(*fields: str) -> None:
    """Print a line of a table."""
    print("| " + " | ".join(fields) + " |", flush=True)
