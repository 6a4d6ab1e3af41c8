"""Figures for Prometheus: what they count, what they never tell, who may ask."""

import asyncio
import re
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chaton.errors import StoreError, UsageError
from chaton.identity.ids import RoomId
from chaton.relay import metrics as metrics_module
from chaton.relay import server
from chaton.relay.config import Config, Limits, Rate, Rates, load
from chaton.relay.hub.refusals import SENTENCES
from chaton.relay.metrics import Metrics
from chaton.wire import frames
from tests.relay.helpers import ANN, BEN, OWNER, follow, open_room, say, seat, turns_until
from tests.relay.play import Script, bundle, identity, parcel, seed

SLOW = Limits(identity=Rates(messages=Rate(per_second=0.001, burst=2)))


def measured(house, **options):
    """A relay with metrics, whose port is not open."""
    house.options["metrics"] = "127.0.0.1:0"
    return house.open(**options)


def told(metrics: Metrics) -> dict:
    """Every sample by its name and labels."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            found[sample.name, *sorted(sample.labels.values())] = sample.value
    return found


async def asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_what_is_counted(house):
    metrics = measured(house, limits=SLOW).metrics
    script = Script(OWNER)
    owner = await open_room(house, script)
    await seat(house, script, ANN)
    await house.connect()
    for _ in range(2):
        await say(owner, script)
    refused = await owner.ask(frames.Send, script.room, script.message())
    assert refused.code == "limited"
    unknown = await owner.ask(frames.Follow, bytes(RoomId.zero()), 0)
    assert unknown.code == "no-room"
    figures = told(metrics)
    assert figures["chaton_connections",] == 3
    assert figures["chaton_logged_in",] == 2
    assert figures["chaton_connections_max",] == SLOW.connections_max
    assert (figures["chaton_rooms", "room"], figures["chaton_rooms", "direct"]) == (1, 0)
    assert figures["chaton_events_total", "record"] == 3  # GENESIS, INVITE, JOIN.
    assert figures["chaton_events_total", "message"] == 2
    assert (figures["chaton_refusals_total", "limited"], figures["chaton_refusals_total", "no-room"]) == (1, 1)
    assert figures["chaton_commit_seconds_count",] >= 5
    assert figures["chaton_commit_failures_total",] == 0


async def test_refusals_with_records_and_of_logins_count_too(house):
    metrics = measured(house).metrics
    script = Script(OWNER)
    owner = await open_room(house, script)
    stale = Script(OWNER)
    stale.state, stale.history = script.state, script.history
    late = script.invite(seed(8))
    taken = script.invite(seed(7))
    assert isinstance(await owner.ask(frames.Submit, script.room, taken.raw), frames.Accepted)
    refused = await owner.ask(frames.Submit, script.room, late.raw)
    assert (refused.code, len(refused.records)) == ("head-moved", 1)
    liar = await house.connect()
    await liar.say(frames.Login(bytes(128)))
    assert (await liar.expect(frames.Refused)).code == "bad-login"
    figures = told(metrics)
    assert figures["chaton_refusals_total", "head-moved"] == 1
    assert figures["chaton_refusals_total", "bad-login"] == 1
    assert {label for name, *label in figures for label in label if name == "chaton_refusals_total"} == {*SENTENCES}


async def test_parcels_and_direct_rooms(house):
    metrics = measured(house).metrics
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    hers = bundle(ANN, owner.welcome.now)
    assert isinstance(await ann.ask(frames.Publish, hers.raw), frames.Done)
    ann.close()
    box = parcel(hers)
    stored = await owner.ask(frames.Parcels, script.room, [frames.ParcelTo(identity(ANN), box)])
    assert isinstance(stored, frames.ParcelsStored)
    assert isinstance(await owner.ask(frames.Direct, identity(ANN)), frames.Done)
    figures = told(metrics)
    assert (figures["chaton_parcels_waiting",], figures["chaton_parcels_waiting_bytes",]) == (1, len(box))
    assert (figures["chaton_rooms", "room"], figures["chaton_rooms", "direct"]) == (1, 1)


async def test_attachments(house):
    metrics = measured(house).metrics
    script = Script(OWNER)
    owner = await open_room(house, script)
    blob, data = b"b" * 32, bytes(9_000)
    for offset in (0, 5_000):
        piece = data[offset : offset + 5_000]
        assert isinstance(await owner.ask(frames.Put, script.room, blob, 9_000, offset, piece), frames.BlobState)
    assert isinstance(await owner.ask(frames.Get, script.room, blob, 0), frames.BlobPiece)
    figures = told(metrics)
    assert figures["chaton_blob_bytes",] == 9_000
    assert (figures["chaton_pieces_total", "in"], figures["chaton_pieces_total", "out"]) == (2, 1)


async def test_what_waits_for_a_reader(house):
    metrics = measured(house).metrics
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN, limit=1)
    await follow(ann, script)
    ann.writer.transport.pause_reading()
    queued = lambda: told(metrics)["chaton_queued_bytes",]  # noqa: E731
    assert queued() == 0
    while not queued():
        await say(owner, script, 65_536)
    ann.close()
    await turns_until(lambda: queued() == 0)


async def test_a_disk_that_refuses(house):
    class Full:
        def __init__(self, store):
            self.store, self.full = store, False

        def __getattr__(self, name):
            return getattr(self.store, name)

        def commit(self, writes):
            if self.full:
                raise StoreError("the disk is full")
            self.store.commit(writes)

    metrics = measured(house, wrap=Full).metrics
    script = Script(OWNER)
    owner = await open_room(house, script)
    house.store.full = True
    refused = await owner.ask(frames.Send, script.room, script.message())
    assert refused.code == "store-failed"
    figures = told(metrics)
    assert figures["chaton_commit_failures_total",] == 1
    assert figures["chaton_refusals_total", "store-failed"] == 1
    assert figures["chaton_events_total", "message"] == 0
    house.store.full = False


async def test_nothing_of_one_identity_room_or_address(house):
    metrics = measured(house).metrics
    script = Script(OWNER)
    owner = await open_room(house, script)
    await seat(house, script, BEN)
    await say(owner, script)
    text = metrics.text().decode()
    labels = re.findall(r"\{([^}]*)\}", text)
    values = {value for label in labels for value in re.findall(r'"([^"]*)"', label)}
    assert {"record", "limited", "direct"} <= values
    secret = [str(identity(OWNER)), str(identity(BEN)), str(script.room), str(house.relay.pin), "127.0.0.1"]
    assert not any(word in text or word[:8] in text for word in secret)


async def test_without_metrics_nothing_is_wrapped(house):
    relay = house.open()
    assert relay.metrics is None
    assert type(relay.engine._hub) is server.Hub
    assert relay.engine._store is house.store


async def test_who_asks_is_answered(house):
    metrics = measured(house).metrics
    port = await metrics.open("127.0.0.1", 0)
    head, _, body = (await asked(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"chaton_connections 0.0\n" in body
    bare = await asked(port, b"HEAD /metrics?a=b HTTP/1.1\r\n\r\n")
    assert bare.endswith(b"\r\n\r\n")
    assert bare.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (await asked(port, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    assert (await asked(port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
    assert (await asked(port, b"\xff\xfe\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
    idle, writer = await asyncio.open_connection("127.0.0.1", port)
    await turns_until(lambda: len(metrics._askers) == 1)
    metrics.close()
    assert await asyncio.wait_for(idle.read(), 20) == b""
    writer.close()
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asked(port, b"")


async def test_who_asks_too_much_too_slowly_or_with_too_many_is_not(house, monkeypatch):
    metrics = measured(house).metrics
    port = await metrics.open("127.0.0.1", 0)
    assert await asked(port, b"x" * 20_000) == b""
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(metrics_module.ASKERS_MAX)]
    await turns_until(lambda: len(metrics._askers) == metrics_module.ASKERS_MAX)
    assert await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
    for _, writer in idle:
        writer.close()
    await turns_until(lambda: not metrics._askers)
    monkeypatch.setattr(metrics_module, "REQUEST_S_MAX", 0.01)
    assert await asked(port, b"GET ") == b""
    monkeypatch.undo()
    assert (await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
    metrics.close()


async def test_a_port_that_is_taken(house):
    relay = measured(house)
    with pytest.raises(UsageError, match=r"metrics: cannot listen on 127\.0\.0\.1") as caught:
        await relay.metrics.open(*relay.address)
    assert "--metrics" in caught.value.hint


@pytest.mark.parametrize("where", ["0.0.0.0:9555", "192.0.2.1:9555", "[::]:9555", "localhost:9555", "relay.example:1"])
def test_only_addresses_of_this_machine(where):
    with pytest.raises(UsageError, match=r"metrics: .* is not an address of this machine alone") as caught:
        load(None, {"metrics": where})
    assert "127.0.0.1" in caught.value.hint


@pytest.mark.parametrize("where", ["127.0.0.1:9555", "127.1.2.3:0", "[::1]:9555"])
def test_addresses_of_this_machine(where):
    config = load(None, {"metrics": where})
    assert config.metrics_address is not None
    assert load(None).metrics_address is None


def test_a_port_that_is_none():
    with pytest.raises(UsageError, match="metrics: '9555' is not HOST:PORT"):
        load(None, {"metrics": "9555"})


async def test_without_the_library(house, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "chaton.relay.metrics")
    with pytest.raises(UsageError, match="prometheus-client, which is not installed") as caught:
        measured(house)
    assert "pip install 'chaton[metrics]'" in caught.value.hint


async def test_serve_opens_the_port_and_closes_it(pair, tmp_path, caplog):
    files = {"cert": pair / "server.pem", "key": pair / "server.key"}
    config = Config(listen="127.0.0.1:0", data=tmp_path / "data", metrics="127.0.0.1:0", **files)
    ready = asyncio.get_running_loop().create_future()
    with caplog.at_level("INFO"):
        task = asyncio.create_task(server.serve(config, ready=lambda *at: ready.set_result(at)))
        await asyncio.wait_for(ready, 20)
    port = int(re.search(r"metrics are told on port (\d+) ", caplog.text)[1])
    assert b"chaton_logged_in 0.0\n" in await asked(port, b"GET /metrics HTTP/1.0\r\n\r\n")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asked(port, b"")
