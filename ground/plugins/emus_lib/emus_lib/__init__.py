"""Interface of the library `emus-bms`, implemented with the driver of this project.

A script needs to change one import only: `emus_lib.config` replaces `config.config`.
"""
