"""Which engine serves a request: policies, one file each, and their registry. Pure."""
