"""PyGNC on the ground: replay, scenarios, inspection."""
