"""`pygnc bridge`: one unit on a serial line, for browsers: WebSocket in three dialects, and a page beside it."""
