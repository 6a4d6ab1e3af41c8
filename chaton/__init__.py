"""Chaton: an end-to-end encrypted chat room of your own, over TLS."""

__version__ = "1.0.0"
