"""Who answers at an address, and who does not."""

import asyncio
import contextlib
import ssl

import pytest

from chaton.client.dial import dial
from chaton.errors import Malformed, PinMismatch, Unreachable
from chaton.identity.ids import Pin
from chaton.relay import certs
from chaton.room.link import Address
from chaton.wire.codec import encode
from chaton.wire.frames import Ping, Pong, Welcome


@contextlib.asynccontextmanager
async def server(pair, talk, *, alpn="chaton/1", tls=True, version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair / certs.SERVER_CERTIFICATE, pair / certs.SERVER_KEY)
    context.maximum_version = version
    if alpn:
        context.set_alpn_protocols([alpn])
    writers = []

    async def served(reader, writer):
        writers.append(writer)
        await talk(reader, writer)

    made = await asyncio.start_server(served, "127.0.0.1", 0, ssl=context if tls else None)
    pin = certs.pin_of((pair / certs.SERVER_CERTIFICATE).read_bytes())
    try:
        yield Address("127.0.0.1", made.sockets[0].getsockname()[1], pin)
    finally:
        made.close()
        for writer in writers:
            writer.transport.abort()


async def silent(reader, writer):
    await reader.read()


async def test_frames_go_both_ways(pair):
    heard = []

    async def talk(reader, writer):
        writer.write(encode(Pong(7)) + encode(Pong(8))[:3])
        await writer.drain()
        heard.append(await reader.readexactly(len(encode(Ping(1)))))
        writer.write(encode(Pong(8))[3:])
        writer.close()

    async with server(pair, talk) as address:
        connection = await dial(address)
        assert await connection.receive() == [Pong(7)]
        connection.transmit([Ping(1)])
        assert await connection.receive() == [Pong(8)]
        with pytest.raises(Unreachable, match="closed the connection"):
            await connection.receive()
        await connection.close()
    assert heard == [encode(Ping(1))]


async def test_nonsense_is_malformed(pair):
    async def talk(reader, writer):
        writer.write(b"\xff\xff\xff\xff" + b"GET / HTTP/1.1")
        await reader.read()

    async with server(pair, talk) as address:
        connection = await dial(address)
        with pytest.raises(Malformed):
            await connection.receive()
        await connection.close()


async def test_another_key_hears_nothing(pair):
    heard = []

    async def talk(reader, writer):
        with contextlib.suppress(ConnectionError):
            heard.append(await reader.read(100))
            writer.write(encode(Pong(1)))

    async with server(pair, talk) as address:
        with pytest.raises(PinMismatch, match=r"shows the key .* instead of 78787878"):
            await dial(Address(address.host, address.port, Pin(b"x" * 32)))
        connection = await dial(address)
        connection.transmit([Ping(1)])
        assert await connection.receive() == [Pong(1)]
        await connection.close()
    assert [said for said in heard if said] == [encode(Ping(1))]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"alpn": "h2"}, "chaton"),
        ({"alpn": None}, "does not speak chaton/1"),
        ({"version": ssl.TLSVersion.TLSv1_2}, "no relay answers at .*: the connection was closed at once"),
    ],
)
async def test_what_is_no_relay(pair, options, why):
    async with server(pair, silent, **options) as address:
        with pytest.raises(Unreachable, match=why):
            await dial(address)


async def test_somebody_without_tls(pair):
    async def talk(reader, writer):
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()

    async with server(pair, talk, tls=False) as address:
        with pytest.raises(Unreachable, match="no Chaton relay"):
            await dial(address)


async def test_somebody_who_keeps_silent(pair):
    async with server(pair, silent, tls=False) as address:
        with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"):
            await dial(address, timeout_ms=200)


@pytest.mark.parametrize("host", ["nowhere.invalid", "..", "-", "a" * 70 + ".invalid"])
async def test_a_name_that_is_none(host):
    with pytest.raises(Unreachable):
        await dial(Address(host, 1, Pin(b"x" * 32)))


async def test_the_relays_own_key_is_taken(house):
    connection = await dial(house.address)
    (welcome,) = await connection.receive()
    assert isinstance(welcome, Welcome)
    await connection.close()
