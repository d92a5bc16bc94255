"""Things that answer chat requests; `base` says what the gateway may expect of each."""
