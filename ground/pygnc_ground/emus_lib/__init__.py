"""The way `emus-bms` is used, under its own names, over the driver of this project.

A script needs another beginning of its imports only: `from pygnc_ground.emus_lib.constants import *` in place of
`from emus_lib.constants import *`, and `pygnc_ground.emus_lib.config` in place of `config.config`.
"""
