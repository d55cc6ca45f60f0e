"""Interface of the library `emus-bms`, implemented with the driver of this project.

A script needs to change its imports only: `from pygnc_station.emus_lib.constants import *` replaces
`from emus_lib.constants import *`, and `pygnc_station.emus_lib.config` replaces `config.config`.
"""
