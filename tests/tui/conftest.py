"""A real relay and real clients, for windows over them."""

from tests.client.conftest import cable, house, pair, town

__all__ = ["cable", "house", "pair", "town"]
