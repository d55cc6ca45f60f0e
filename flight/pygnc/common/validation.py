"""What settings may be."""


def require_positive(settings: object, *names: str) -> None:
    """Refuse settings of which one is zero, negative or no number.

    Raises:
        ValueError: One of them is; it is named.
    """
    for name in names:
        if not getattr(settings, name) > 0.0:
            raise ValueError(f"{name} is positive")
