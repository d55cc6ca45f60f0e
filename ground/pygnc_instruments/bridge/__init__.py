"""`pygnc bridge`: a WebSocket server in three message protocols, and a web page, for one device."""
