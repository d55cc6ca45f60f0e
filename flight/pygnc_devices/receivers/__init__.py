"""Satellite navigation receivers of NovAtel, u-blox and SkyTraq; logs on the ground have the same messages."""
