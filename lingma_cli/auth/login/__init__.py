"""Getting a login: with a browser, by paste, password, token or access key."""
