"""Containers without domain words. Pure; knows nothing of requests or engines."""
