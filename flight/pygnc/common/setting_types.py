"""Types of settings with their ranges, for those that several settings share."""

from typing import Annotated, TypeAlias

from msgspec import Meta

Share: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
Inflation: TypeAlias = Annotated[float, Meta(ge=1.0, le=1e3)]
"""Upper limit of a factor on standard deviations."""
ChiSquare: TypeAlias = Annotated[float, Meta(ge=1.0, le=1e4)]
"""Limit of a chi-square or of a difference of two."""
LogSigma: TypeAlias = Annotated[float, Meta(ge=1e-3, le=3.0)]
"""Standard deviation of a natural logarithm; 3 is a factor of 20."""
TimeConstant: TypeAlias = Annotated[float, Meta(ge=60.0, le=1e8)]
"""Time constant of a slow process, s; 1e8 s are three years."""
Name: TypeAlias = Annotated[str, Meta(max_length=64)]
