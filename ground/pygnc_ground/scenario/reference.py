"""The library brahe, imported when it is first used: settings, presets and help do without this extra."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

__all__ = ["brahe"]

if TYPE_CHECKING:
    import brahe
else:

    class _Brahe(ModuleType):
        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of brahe
            try:
                value = getattr(import_module("brahe"), name)
            except ModuleNotFoundError as error:
                remedy = "scenarios need the library brahe: pip install 'pygnc-ground[scenario]'"
                raise ModuleNotFoundError(remedy, name=error.name) from error
            setattr(self, name, value)  # the next access finds it directly
            return value

    brahe: Final = _Brahe("brahe")
