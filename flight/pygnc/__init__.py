"""PyGNC's flight side: orbit, attitude and formation estimates on a satellite's second computer."""

from pygnc_system import __version__ as __version__
