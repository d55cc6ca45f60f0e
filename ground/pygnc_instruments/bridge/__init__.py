"""`pygnc bridge`: a WebSocket server in four message protocols, and a web page, for one device."""
