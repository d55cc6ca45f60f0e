"""Validation of settings."""


def require_positive(settings: object, *names: str) -> None:
    """Check that the named attributes are positive numbers.

    Raises:
        ValueError: A value is zero, negative or NaN; the message names it.
    """
    for name in names:
        if not getattr(settings, name) > 0.0:
            raise ValueError(f"{name} must be positive, not {getattr(settings, name)}")
