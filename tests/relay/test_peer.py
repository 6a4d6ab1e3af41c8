"""One connection's socket, with an owner that only answers."""

import pytest

from chaton.limits import FRAME_BYTES_MAX
from chaton.relay import tls
from chaton.relay.listener import Doorkeeper, Listener, Timing, listen
from chaton.relay.owner import Bounds
from chaton.wire import codec, frames
from tests.relay.client import RawClient
from tests.relay.helpers import turns_until

ANSWER = codec.encode(frames.BundleList(0, [bytes(1_000)] * 100))
PAUSE = 2**18


class Answering:
    """Answers every Ping with 100 KB."""

    def __init__(self):
        self.dirty = []
        self.peers = []
        self.heard = self.drained_times = 0

    def opened(self, peer):
        self.peers.append(peer)
        peer.reader.largest = FRAME_BYTES_MAX
        peer.write(codec.encode(frames.Welcome(bytes(32), 0, "test", frames.Limits(0, 0, 0, 0))))
        self.flush()

    def received(self, peer, frame):
        self.heard += 1
        peer.send(ANSWER)
        self.flush()

    def flush(self):
        while self.dirty:
            self.dirty.pop().flush()

    def garbled(self, peer, cause):
        self.end(peer, None)

    def drained(self, peer):
        self.drained_times += 1

    def closed(self, peer):
        self.peers.remove(peer)

    def end(self, peer, goodbye):
        peer.finish(None)


@pytest.fixture
async def door(pair):
    context = tls.make_context(tls.KeyPair(pair / "server.pem", pair / "server.key"))
    owner = Answering()
    bounds = Bounds(1_024, PAUSE, owner.dirty)
    door = Listener(listen("127.0.0.1", 0, context), owner, bounds, Doorkeeper(9, 9, lambda _address: 0), Timing())
    door.owner = owner
    door.start()
    yield door
    door.stop()
    await door.close(0)


async def test_who_does_not_read_answers_is_not_read(door):
    client = await RawClient.connect(*door.address, bytes(32), limit=2**14)
    pings = 400
    ping = codec.encode(frames.Publish(1, bytes(1_331)))
    for _ in range(pings):
        client.writer.write(ping)
    await turns_until(lambda: door.owner.peers[0].queued > PAUSE)
    (peer,) = door.owner.peers
    assert door.owner.heard < pings
    assert peer.queued < PAUSE + 32 * len(ANSWER)
    peer.hungry = True
    answers = [await client.expect(frames.BundleList) for _ in range(pings)]
    assert len(answers) == door.owner.heard == pings
    await turns_until(lambda: not peer.queued)
    assert door.owner.drained_times == 1
    client.close()


async def test_a_peer_that_is_cut_while_much_waits_is_dropped(door):
    client = await RawClient.connect(*door.address, bytes(32), limit=2**14)
    for _ in range(400):
        client.writer.write(codec.encode(frames.Publish(1, bytes(1_331))))
    await turns_until(lambda: door.owner.peers[0].queued > PAUSE)
    client.close()
    await turns_until(lambda: not door.owner.peers and not len(door))


async def test_finish_sends_what_waits_and_waits_for_the_other_end(door):
    client = await RawClient.connect(*door.address, bytes(32))
    (peer,) = door.owner.peers
    peer.write(ANSWER * 20)
    peer.finish(codec.encode(frames.ParcelsEnd()))
    peer.finish(None)
    peer.write(ANSWER)
    peer.send(ANSWER)
    assert peer.gone
    await client.expect(frames.ParcelsEnd)
    assert sum(isinstance(frame, frames.BundleList) for frame in client.seen) == 20
    client.writer.write(bytes(50_000))
    await client.closed()
    client.close()
    await turns_until(lambda: not len(door))
    assert door.owner.heard == 0
