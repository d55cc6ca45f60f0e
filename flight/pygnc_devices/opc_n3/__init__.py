"""Alphasense's optical particle counter OPC-N3, behind its USB adapter or on an SPI bus."""
