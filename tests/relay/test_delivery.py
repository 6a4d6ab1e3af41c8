"""Who is told first, and that nobody is told twice."""

from chaton.identity.ids import RoomId
from chaton.relay.channel import Channel, Follower, Subscriber


class FakePeer:
    """Notes what was sent, in the order of all peers."""

    def __init__(self, name, said):
        self.name, self.said = name, said
        self.queued = 0
        self.out = []
        self.hungry = False

    def write(self, data):
        self.out.append(data)
        self.queued += len(data)

    def send(self, data):
        self.said.append((self.name, data))

    def flush(self):
        if self.out:
            self.said.append((self.name, b"".join(self.out)))
        self.out, self.queued = [], 0


def channel_of(*names):
    said, channel = [], Channel(RoomId.zero(), 0)
    peers = {name: FakePeer(name, said) for name in names}
    for peer in peers.values():
        channel.live[peer] = Follower(Subscriber(peer), channel, 1, 0)
    return channel, peers, said


def test_who_asked_is_told_first_and_in_one_write_with_its_answer():
    channel, peers, said = channel_of("ann", "ben", "cleo")
    peers["cleo"].write(b"accepted ")
    channel.gain(b"event")
    channel.flush(100, [peers["cleo"]])
    assert said == [("cleo", b"accepted event"), ("ann", b"event"), ("ben", b"event")]


def test_who_asked_and_follows_another_room_is_told_nothing_of_this_one():
    channel, peers, said = channel_of("ann")
    stranger = FakePeer("dora", said)
    stranger.write(b"accepted")
    channel.gain(b"event")
    channel.flush(100, [stranger])
    assert said == [("ann", b"event")]
    assert stranger.out == [b"accepted"]
    assert channel.live.keys() == {peers["ann"]}


def test_what_waits_already_goes_before_the_event():
    channel, peers, said = channel_of("ann", "ben")
    peers["ann"].write(b"parcel ")
    channel.gain(b"event")
    channel.flush(100)
    assert said == [("ben", b"event")]
    assert peers["ann"].out == [b"parcel ", b"event"]


def test_a_queue_that_is_too_long_falls_behind_even_if_its_owner_asked():
    channel, peers, said = channel_of("ann", "ben")
    peers["ann"].write(b"x" * 101)
    follower = channel.live[peers["ann"]]
    channel.gain(b"event")
    channel.flush(100, [peers["ann"]])
    assert said == [("ben", b"event")]
    assert not channel.is_live(follower)
    assert follower.subscriber.behind == [follower]
    assert peers["ann"].hungry
