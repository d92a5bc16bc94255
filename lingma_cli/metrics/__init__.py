"""What the server counts, as Prometheus text and as JSON."""
