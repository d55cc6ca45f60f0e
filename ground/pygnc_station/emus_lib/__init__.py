"""The way `emus-bms` is used, under its own names, over the driver of this project.

A script needs another beginning of its imports only: `from pygnc_station.emus_lib.constants import *` in place of
`from emus_lib.constants import *`, and `pygnc_station.emus_lib.config` in place of `config.config`.
"""
