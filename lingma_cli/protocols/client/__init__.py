"""The caller's side of the protocols: requests to bytes, answers' bytes to canonical events."""
