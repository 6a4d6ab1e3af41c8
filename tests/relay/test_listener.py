"""The door: hostile bytes, silent clients, limits, an exhausted system."""

import asyncio
import errno
import socket
import ssl

import pytest

from chaton.errors import UsageError
from chaton.relay import listener, tls
from chaton.relay.config import AddressRates, Limits, Rate
from chaton.relay.listener import Timing, origin_of
from chaton.wire import frames
from tests.relay.client import RawClient, client_context
from tests.relay.helpers import turns_until
from tests.relay.play import Script, seed

OWNER = seed(1)
QUICK = Timing(login_ms=60, silence_ms=60, sweep_ms=10)


async def plain(house):
    return await asyncio.open_connection(*house.relay.address)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the relay ends the connection."""
    async with asyncio.timeout(20):
        try:
            return await reader.read()
        except (ConnectionError, ssl.SSLError):
            return b""


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(600), bytes(20_000)])
async def test_garbage_before_tls(house, garbage):
    house.open(timing=Timing(login_ms=60_000))
    reader, writer = await plain(house)
    writer.write(garbage)
    writer.write_eof()
    await ended(reader)
    writer.close()
    await house.client(OWNER)
    assert len(house.relay._listener) == 1


@pytest.mark.parametrize("garbage", [b"\xff" * 8, b"\0\0\0\1\xc1", b"\0\0\0\2\x91\x0f", b"\0\0\0\3\x92\xcc\x0f"])
async def test_garbage_inside_tls_is_answered_and_ends(house, garbage):
    house.open()
    client = await house.connect()
    client.writer.write(garbage + bytes(100_000))
    goodbye = await client.expect(frames.Goodbye)
    assert (goodbye.code, goodbye.retry_ms) == ("protocol", 0)
    await client.closed()


async def test_no_other_tls_and_no_other_protocol(house):
    house.open()
    old = client_context()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*house.relay.address, ssl=old)
    other = client_context()
    other.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(*house.relay.address, ssl=other)
    assert await ended(reader) == b""
    writer.transport.abort()


async def test_the_handshake_is_as_the_protocol_says(house):
    house.open()
    client = await house.connect()
    tls_object = client.writer.get_extra_info("ssl_object")
    assert tls_object.version() == "TLSv1.3"
    assert tls_object.selected_alpn_protocol() == "chaton/1"
    await client.login(OWNER)
    assert tls_object.session is None or not tls_object.session.has_ticket


async def test_who_never_shakes_hands_is_dropped(house):
    house.open(timing=QUICK)
    reader, writer = await plain(house)
    assert await ended(reader) == b""
    writer.close()


async def test_who_never_logs_in_is_told_and_dropped_and_pings_do_not_help(house):
    house.open(timing=QUICK)
    client = await house.connect()
    await client.say(frames.Ping(1))
    assert (await client.expect(frames.Goodbye)).code == "idle"
    await client.closed()


async def test_who_peeks_or_logs_in_is_dropped_for_silence_only(house):
    house.open(timing=Timing(login_ms=60, silence_ms=60_000, sweep_ms=10))
    member = await house.client(OWNER)
    script = Script(OWNER)
    await member.ask(frames.Create, script.genesis.raw)
    record = script.invite(seed(9))
    await member.ask(frames.Submit, script.room, record.raw)
    peeker, silent = await house.connect(), await house.connect()
    await peeker.peek(script.room, seed(9))
    await silent.closed()
    for client in (member, peeker):
        assert isinstance(await client.ask(frames.Ping), frames.Pong)


async def test_silence_after_login(house):
    house.open(timing=Timing(login_ms=60_000, silence_ms=60, sweep_ms=10))
    client = await house.client(OWNER)
    assert (await client.expect(frames.Goodbye)).code == "idle"
    await client.closed()


async def test_so_many_connections_of_one_address(house):
    house.open(limits=Limits(connections_per_address_max=2))
    await house.connect()
    second = await house.connect()
    reader, writer = await plain(house)
    assert await ended(reader) == b""
    writer.close()
    second.close()
    await turns_until(lambda: len(house.relay._listener) == 1)
    await house.connect()


async def test_so_many_connections_at_once_and_a_second(house):
    house.open(limits=Limits(connections_max=1))
    await house.connect()
    reader, writer = await plain(house)
    assert await ended(reader) == b""
    writer.close()


async def test_so_many_new_connections_a_second(house):
    slow = AddressRates(connections=Rate(per_second=0.001, burst=1))
    house.open(limits=Limits(address=slow))
    await house.connect()
    reader, writer = await plain(house)
    assert await ended(reader) == b""
    writer.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EPROTO])
async def test_an_exhausted_system_does_not_spin_and_recovers(house, monkeypatch, number):
    monkeypatch.setattr(listener, "EXHAUSTED_PAUSE_S", 0.05)
    house.open()
    attempts = []
    accept = socket.socket.accept

    def failing(sock):
        attempts.append(1)
        if len(attempts) <= 2:
            raise OSError(number, "too many")
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", failing)
    await house.client(OWNER)
    assert len(attempts) <= 5


async def test_a_connection_cut_at_any_moment_leaves_nothing(house):
    house.open()
    for _ in range(20):
        client = await house.client(OWNER)
        client.close()
    last = await house.client(OWNER)
    await last.ask(frames.Ping)
    await turns_until(lambda: len(house.relay._listener) == 1)
    assert len(house.relay.engine._connections) == 1


def test_where_a_connection_is_from():
    assert origin_of("127.0.0.1") == ("127.0.0.1", True)
    assert origin_of("::ffff:127.0.0.1") == ("127.0.0.1", True)
    assert origin_of("::1").local
    assert origin_of("192.0.2.7") == ("192.0.2.7", False)
    assert origin_of("2001:db8:1:2:3::4") == origin_of("2001:db8:1:2:ffff::%eth0") == ("2001:db8:1:2::", False)


def test_an_address_that_is_taken_or_not_ours(pair):
    context = tls.make_context(tls.KeyPair(pair / "server.pem", pair / "server.key"))
    with listener.listen("127.0.0.1", 0, context) as taken:
        with pytest.raises(UsageError, match="cannot listen") as refusal:
            listener.listen("127.0.0.1", taken.getsockname()[1], context)
        assert "--listen" in refusal.value.hint
    with pytest.raises(UsageError, match="cannot listen"):
        listener.listen("192.0.2.1", 0, context)
    with pytest.raises(UsageError, match="cannot listen"):
        listener.listen("no.such.host.invalid", 1, context)


async def test_many_connections_at_once(house):
    house.open()
    clients = await asyncio.gather(*(house.client(seed(n)) for n in range(100, 180)))
    answers = await asyncio.gather(*(client.ask(frames.Ping) for client in clients))
    assert all(isinstance(answer, frames.Pong) for answer in answers)
    assert isinstance(clients[0], RawClient)
