"""Descriptions of the binary layouts for other systems: tables, XTCE and C, from the declarations that parsers use."""
