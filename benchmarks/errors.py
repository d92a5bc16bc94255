"""Why a run cannot be believed."""


class BenchmarkError(Exception):
    """A program did not start, or did not answer in time."""


class RecordError(BenchmarkError):
    """A record is missing, extra, reordered or different; says which."""
