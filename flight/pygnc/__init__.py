"""PyGNC's flight side: orbit, attitude and formation estimates on a satellite's second computer."""

__version__ = "0.1.0"
