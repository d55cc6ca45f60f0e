"""Functions of ERFA, the IAU's algorithms, without ERFA's Python package.

The package wraps each of them in a function with a long text, which would cost every start 8 ms and 1.3 MB. The
wrappers only drop or check the status that some functions return last.
"""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any, Final


def _load() -> Any:  # noqa: ANN401 - a module that declares no types
    spec = find_spec("erfa")
    if "erfa" in sys.modules or spec is None:
        return import_module("erfa.ufunc")
    sys.modules["erfa"] = module_from_spec(spec)  # it is not executed
    try:
        return import_module("erfa.ufunc")
    finally:  # a later import executes it
        del sys.modules["erfa"]
        sys.modules.pop("erfa.ufunc", None)


erfa: Final = _load()
