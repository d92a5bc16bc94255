"""The one use case: take a request in, run it on an engine, give its events out."""
