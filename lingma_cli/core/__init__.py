"""The middle: one request, one stream of events, and the laws that hold between them. Pure."""
