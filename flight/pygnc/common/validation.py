"""Checks of values that the settings share."""

import math
from collections.abc import Container
from dataclasses import fields
from typing import Any


def require_positive(settings: Any, *names: str, zero_allowed: Container[str] = ()) -> None:  # noqa: ANN401 - accepts any dataclass
    """Check that the named attributes of a dataclass, by default all its fields, are positive numbers.

    Those in `zero_allowed` may also be zero.

    Raises:
        ValueError: A value is zero, negative, infinite or NaN; the message names it.
    """
    for name in names or [field.name for field in fields(settings)]:
        value = getattr(settings, name)
        if value == math.inf:
            raise ValueError(f"{name} must be finite, not {value}")
        if not (value > 0 or (value == 0 and name in zero_allowed)):
            requirement = "must not be negative" if name in zero_allowed else "must be positive"
            raise ValueError(f"{name} {requirement}, not {value}")
