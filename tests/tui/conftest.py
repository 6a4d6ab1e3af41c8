"""A real relay and people with profiles, as the library's own tests have them."""

from tests.client.conftest import cable, house, pair, town

__all__ = ["cable", "house", "pair", "town"]
