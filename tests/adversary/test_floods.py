"""Ten thousand of everything that costs its sender nothing: time and memory stay bounded, and nothing changes (§7)."""

import copy
import dataclasses
import time
from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from chaton.errors import Malformed
from chaton.identity.ids import ChainId, ChainKey
from chaton.identity.statement import Seed
from chaton.limits import HELD_PER_CHAIN_MAX, HELD_PER_ROOM_MAX
from chaton.room.envelope import Header
from chaton.vault.chain import Grant, message_key
from chaton.vault.entropy import system_entropy
from chaton.vault.message import seal_message
from chaton.wire import frames
from tests.session.world import World, joined, make_room, say, texts

MANY = 10_000
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

    def tell(self, bodies: Iterable[bytes]) -> float:
        """Tell ben more messages in ada's name; how long that took in seconds."""
        began, session, s = time.monotonic(), self.ben.session, self.room.view.history.s
        for number, body in enumerate(bodies, 1):
            session.receive(replace(self.event, s=s + number, body=body), self.world.clock.now)
            session.drain()
        return time.monotonic() - began


def test_ten_thousand_bad_signatures_change_nothing() -> None:
    pair = Pair()
    before = copy.deepcopy(pair.room.reader.chains)
    raw = pair.event.body
    spent = pair.tell(raw[:-64] + number.to_bytes(64) for number in range(MANY))
    assert repr(pair.room.reader.chains) == repr(before)
    assert not pair.room.reader.held
    assert texts(pair.ben) == ["before"]
    assert spent < SECONDS


def test_ten_thousand_unknown_chains_are_held_in_bounds() -> None:
    pair = Pair()
    header, raw = Header.decode(pair.event.body), pair.event.body
    names = (ChainId(number.to_bytes(32)) for number in range(1, MANY + 1))
    spent = pair.tell(raw[:35] + name + raw[67:] for name in names)
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
def test_an_index_beyond_the_end_costs_no_hashing(index: int) -> None:
    """In a grant it is malformed; in a message of a known chain, rightly signed, it is refused and nothing ratchets."""
    pair = Pair()
    grant = pair.ada.session.rooms[pair.room_id].sender.chain.grant()
    with pytest.raises(Malformed):
        Grant.decode(dataclasses.replace(grant, index=index).encode())
    signer = Seed(b"c" * 32)
    statement = dataclasses.replace(grant.statement, key=ChainKey(signer.public))
    pair.room.inbox.take_grant(pair.ada.identity, Grant(statement, 0, grant.secret))
    before = repr(pair.room.reader.chains)
    true = Header.decode(pair.event.body)
    header = Header(true.room, statement.id, index, true.n, true.head, true.s, true.transcript)
    key = message_key(grant.secret, statement.id, index)
    spent = pair.tell(seal_message(key, header, bytes(17), signer, system_entropy).raw for _ in range(100))
    assert repr(pair.room.reader.chains) == before
    assert pair.room.timeline.messages[next(reversed(pair.room.timeline.messages))].reason == "index"
    assert spent < SECONDS
