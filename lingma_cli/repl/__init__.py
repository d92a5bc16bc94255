"""The chat at a terminal: the loop, its commands and the view; no HTTP, no settings."""
