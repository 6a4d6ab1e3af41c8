"""A world with one relay, and who is in most tests: ada, who has a room, and ben, who has joined it."""

import pytest

from chaton.identity.ids import RoomId
from tests.session.world import Person, World, joined, make_room


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ada(world: World) -> Person:
    return world.person("ada")


@pytest.fixture
def room(ada: Person) -> RoomId:
    return make_room(ada)


@pytest.fixture
def ben(world: World, ada: Person, room: RoomId) -> Person:
    return joined(world, ada, room, "ben")
