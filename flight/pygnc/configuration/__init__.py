"""Typed settings with defaults; pygnc.toml overrides them."""
