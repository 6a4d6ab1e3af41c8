"""Ten thousand of everything that costs its sender nothing: time and memory stay bounded, and nothing changes (§7)."""

import copy
import dataclasses
import time
from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from chaton.errors import Malformed
from chaton.identity.hashing import Person
from chaton.identity.ids import ChainId, ChainKey
from chaton.identity.statement import Seed
from chaton.limits import HELD_PER_CHAIN_MAX, HELD_PER_ROOM_MAX
from chaton.room.envelope import Header
from chaton.session.memory import EventEntry
from chaton.vault import chain, message
from chaton.vault.chain import Grant, message_key
from chaton.vault.entropy import system_entropy
from chaton.vault.message import seal_message
from chaton.wire import frames
from tests.session.world import World, joined, make_room, say

MANY = 10_000
LAST_INDEX = 127
SECONDS = 60  # A bound that no slow machine misses and that no quadratic cost keeps.


class Pair:
    """Ada and ben talk; what a liar adds is told to ben alone."""

    def __init__(self) -> None:
        self.world = World()
        self.ada = self.world.person("ada")
        self.room_id = make_room(self.ada)
        self.ben = joined(self.world, self.ada, self.room_id, "ben")
        self.world.relay.twist = self._tap
        say(self.ada, self.room_id, "before")
        self.room = self.ben.session.rooms[self.room_id]

    def _tap(self, _number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if isinstance(frame, frames.Event):
            self.event = frame
        return [frame]

    def say_unseen(self, text: str) -> bytes:
        """Ada says something that ben is not told; its envelope."""

        def tap(number: int, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
            told = self._tap(number, frame)
            return [] if number == self.ben.connection else told

        self.world.relay.twist = tap
        say(self.ada, self.room_id, text)
        return self.event.body

    def last(self, count: int) -> list[EventEntry]:
        """What became of the last messages that ben was told."""
        return list(self.room.timeline.messages.values())[-count:]

    def tell(self, bodies: Iterable[bytes]) -> float:
        """Tell ben more messages in ada's name; how long that took in seconds."""
        began, session, s = time.monotonic(), self.ben.session, self.room.view.history.s
        for number, body in enumerate(bodies, 1):
            session.receive(replace(self.event, s=s + number, body=body), self.world.clock.now)
            session.drain()
        return time.monotonic() - began


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Person]:
    """One entry for each step of a chain, message key and commitment that is derived from now on."""
    steps: list[Person] = []
    keyed = chain.keyed

    def counting(key: bytes, person: Person, data: bytes = b"") -> bytes:
        steps.append(person)
        return keyed(key, person, data)

    for module in (chain, message):
        monkeypatch.setattr(module, "keyed", counting)
    return steps


def test_ten_thousand_bad_signatures_cost_no_hashing_and_change_nothing(hashed: list[Person]) -> None:
    """Each is a message that ben has not read, at the end of its chain: to open one would take 127 steps."""
    pair = Pair()
    before = copy.deepcopy(pair.room.reader.chains)
    raw = pair.say_unseen("true")
    false = raw[:67] + LAST_INDEX.to_bytes(2) + raw[69:-64]
    hashed.clear()
    spent = pair.tell(false + number.to_bytes(64) for number in range(MANY))
    assert hashed == []
    assert {entry.reason for entry in pair.last(MANY)} == {"signature"}
    assert repr(pair.room.reader.chains) == repr(before)
    assert not pair.room.reader.held
    assert spent < SECONDS
    pair.tell([raw])
    assert hashed
    assert [bytes(entry.plain[17:]) for entry in pair.last(1)] == [b"true"]


def test_ten_thousand_unknown_chains_are_held_in_bounds(hashed: list[Person]) -> None:
    pair = Pair()
    header, raw = Header.decode(pair.event.body), pair.event.body
    names = (ChainId(number.to_bytes(32)) for number in range(1, MANY + 1))
    hashed.clear()
    spent = pair.tell(raw[:35] + name + raw[67:] for name in names)
    assert hashed == []
    reader = pair.room.reader
    assert sum(map(len, reader.held.values())) == HELD_PER_ROOM_MAX
    assert len(pair.room.sender.asked) <= HELD_PER_ROOM_MAX
    assert not reader.dropped_messages
    assert set(reader.chains) == {header.chain}
    assert spent < SECONDS


def test_ten_thousand_messages_of_one_unknown_chain_are_held_in_bounds() -> None:
    pair = Pair()
    raw = pair.event.body
    spent = pair.tell(raw[:35] + b"c" * 32 + raw[67:-64] + number.to_bytes(64) for number in range(MANY))
    assert sum(map(len, pair.room.reader.held.values())) == HELD_PER_CHAIN_MAX
    assert len(pair.room.sender.asked) == 1
    assert spent < SECONDS


@pytest.mark.parametrize("index", [128, 65_535])
def test_an_index_beyond_the_end_costs_no_hashing(index: int, hashed: list[Person]) -> None:
    """In a grant it is malformed; in a message of a known chain, rightly signed, it is refused and nothing ratchets."""
    pair = Pair()
    grant = pair.ada.session.rooms[pair.room_id].sender.chain.grant()
    hashed.clear()
    with pytest.raises(Malformed):
        Grant.decode(dataclasses.replace(grant, index=index).encode())
    signer = Seed(b"c" * 32)
    statement = dataclasses.replace(grant.statement, key=ChainKey(signer.public))
    pair.room.inbox.take_grant(pair.ada.identity, Grant(statement, 0, grant.secret))
    before = repr(pair.room.reader.chains)
    seen = Header.decode(pair.event.body)

    def sealed(index: int) -> bytes:
        header = Header(seen.room, statement.id, index, seen.n, seen.head, seen.s, seen.transcript)
        key = message_key(grant.secret, statement.id, index)
        return seal_message(key, header, bytes(17), signer, system_entropy).raw

    beyond, true = [sealed(index) for _ in range(100)], sealed(0)
    hashed.clear()
    pair.tell(beyond)
    assert hashed == []
    assert {entry.reason for entry in pair.last(100)} == {"index"}
    assert repr(pair.room.reader.chains) == before
    pair.tell([true])
    assert pair.last(1)[0].state == "opened"
    assert hashed
