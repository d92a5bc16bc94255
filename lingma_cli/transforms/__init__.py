"""Rewrites of requests and events, written once for all protocols and modes. Pure."""
