"""lingma: a local proxy for your own Tongyi Lingma account."""

__version__ = "0.1.0"
