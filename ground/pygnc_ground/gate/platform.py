"""Numerical platform of a replay: library versions, CPU features, and a fingerprint of the arithmetic itself.

The same source gives the same bits only with the same libraries on the same kind of CPU: OpenBLAS, NumPy and the C
library choose their code by the CPU's features, and fused operations round once where others round twice. The
fingerprint is the digest of a few hundred results of these libraries, and differs where that choice differs.
"""

import math
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

import msgspec
import numpy as np
import scipy.linalg

from pygnc_ground.gate.digest import digest

_LIBRARIES: Final = ("numpy", "scipy", "pyerfa", "satkit")
_VARIABLES: Final = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES")
"""Environment variables that change the choice of code"""
_SIZES: Final = (3, 10, 35, 128)


class Platform(msgspec.Struct, frozen=True):
    """What the bits of a result depend on besides the source and the inputs.

    Attributes:
        versions: Versions of Python, the C library and the numerical libraries.
        cpu: Architecture and the CPU features that NumPy uses.
        variables: Environment variables that change the libraries' choice of code.
        arithmetic: Digest of results of the libraries.
    """

    versions: dict[str, str]
    cpu: list[str]
    variables: dict[str, str]
    arithmetic: str

    def differences(self, other: "Platform") -> list[str]:
        """Return a text for each difference from `other`; empty if the bits of results can be compared.

        CPU features and variables alone do not count: the arithmetic contains their effect.
        """
        names = sorted(self.versions.keys() | other.versions.keys())
        found = [
            f"{name} {other.versions.get(name, 'missing')} then, {self.versions.get(name, 'missing')} now"
            for name in names
            if self.versions.get(name) != other.versions.get(name)
        ]
        if self.arithmetic != other.arithmetic:
            found.append("other rounding of the libraries" + self._causes(other))
        return found

    def _causes(self, other: "Platform") -> str:
        causes = [f"CPU features {' '.join(other.cpu)} then, {' '.join(self.cpu)} now"] if self.cpu != other.cpu else []
        causes += [
            f"{name}={other.variables.get(name, '')} then, {self.variables.get(name, '')} now"
            for name in sorted(self.variables.keys() | other.variables.keys())
            if self.variables.get(name) != other.variables.get(name)
        ]
        return f" ({'; '.join(causes)})" if causes else ""


def this_platform() -> Platform:
    """Return the platform of this process."""
    versions = {name: version(name) for name in _LIBRARIES}
    libc, libc_version = platform.libc_ver()
    versions |= {"python": platform.python_version(), libc or "C library": libc_version or sys.platform}
    return Platform(
        versions=versions,
        cpu=[platform.machine(), *_simd()],
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        arithmetic=digest(list(_results())),
    )


def _simd() -> list[str]:
    """Return the names of the instruction sets that NumPy uses."""
    configuration: Any = np.show_config(mode="dicts")
    extensions = configuration["SIMD Extensions"]
    return [*extensions.get("baseline", []), *extensions.get("found", [])]


def _results() -> Iterator[Any]:
    """Yield results of the elementary functions, of BLAS and of LAPACK in sizes that the estimators use."""
    x = np.linspace(-3.0, 3.0, 257)
    functions = (np.sin, np.cos, np.tan, np.exp, np.expm1, np.arctan, np.tanh)
    yield [function(x) for function in functions]
    yield np.log(x + 3.5), np.sqrt(x + 3.0), np.power(x + 3.5, 2.3), np.arctan2(x, 0.7), np.hypot(x, 0.3)
    yield [(math.sin(v), math.cos(v), math.exp(v), math.atan2(v, 0.7), math.pow(v + 3.5, 2.3)) for v in x.tolist()]
    for size in _SIZES:
        matrix = np.sin(0.7 * np.arange(1.0, size * size + 1.0)).reshape(size, size)
        positive = matrix.dot(matrix.T) + size * np.eye(size)
        yield positive, matrix.dot(matrix[0]), np.einsum("ij,ij->i", matrix, matrix), matrix.sum()
        yield np.linalg.cholesky(positive), np.linalg.qr(matrix), np.linalg.solve(positive, matrix)
        yield np.linalg.svd(matrix)[1], np.linalg.eigh(positive), np.linalg.inv(positive), np.linalg.det(matrix)
        yield scipy.linalg.cho_factor(positive)[0], scipy.linalg.solve_triangular(np.tril(positive), matrix, lower=True)
