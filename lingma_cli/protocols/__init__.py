"""Pure translators between the wire and the canonical request and events."""
