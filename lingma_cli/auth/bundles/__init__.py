"""A login as it travels: four files, packed, sealed with a passphrase, or in a work folder."""
