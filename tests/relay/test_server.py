"""A relay from its start to its end: signals, certificates, what it refuses to start with."""

import asyncio
import gc
import os
import shutil
import signal
import sys
from datetime import UTC, datetime

import msgspec
import pytest

from chaton.errors import StoreError, UsageError
from chaton.relay import certs, server
from chaton.relay.config import Config
from chaton.wire import frames
from tests.relay.client import RawClient
from tests.relay.helpers import turns_until
from tests.relay.play import Script, identity, seed

OWNER = seed(1)


@pytest.fixture
def config(pair, tmp_path):
    for name in (certs.SERVER_CERTIFICATE, certs.SERVER_KEY, certs.CA_CERTIFICATE, certs.CA_KEY):
        shutil.copy(pair / name, tmp_path / name)
    return Config(
        listen="127.0.0.1:0",
        data=tmp_path / "data",
        cert=tmp_path / certs.SERVER_CERTIFICATE,
        key=tmp_path / certs.SERVER_KEY,
    )


class Serving:
    """``serve`` as a task, and what it told ``ready``."""

    def __init__(self, config, **options):
        self.at = asyncio.get_running_loop().create_future()
        ready = lambda host, port, pin: self.at.set_result((host, port, pin))  # noqa: E731
        self.task = asyncio.create_task(server.serve(config, ready=ready, **options))

    async def connect(self):
        done, _ = await asyncio.wait([self.at, self.task], return_when=asyncio.FIRST_COMPLETED)
        if self.task in done:
            await self.task
        return await RawClient.connect(*self.at.result())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_finishes_commits_and_says_goodbye(config, number):
    serving = Serving(config)
    client = await serving.connect()
    await client.login(OWNER)
    script = Script(OWNER)
    await client.ask(frames.Create, script.genesis.raw)
    os.kill(os.getpid(), number)
    goodbye = await client.expect(frames.Goodbye)
    assert goodbye.code == "shutdown"
    await client.closed()
    client.close()
    await asyncio.wait_for(serving.task, 20)
    again = Serving(config)
    client = await again.connect()
    assert [room.room for room in (await client.login(OWNER)).rooms] == [script.room]
    again.task.cancel()
    assert (await client.expect(frames.Goodbye)).code == "shutdown"
    client.close()
    with pytest.raises(asyncio.CancelledError):
        await again.task


async def test_a_hangup_reloads_certificate_and_config(config, caplog):
    reread = []

    def again():
        reread.append(1)
        return msgspec.structs.replace(config, owners=(identity(OWNER),))

    serving = Serving(config, reread=again)
    client = await serving.connect()
    before = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    directory = config.cert.parent
    certs.generate(directory, ["renewed"], [], 90, now=datetime.now(UTC), force=False)
    with caplog.at_level("INFO"):
        os.kill(os.getpid(), signal.SIGHUP)
        await turns_until(lambda: reread and "reloaded" in caplog.text)
    second = await serving.connect()
    assert second.writer.get_extra_info("ssl_object").getpeercert(binary_form=True) != before
    client.close()
    second.close()
    serving.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving.task


async def test_another_key_is_not_taken_over(house):
    relay = house.open()
    pin = relay.pin
    directory = house.options["data"].parent / "other"
    certs.generate(directory, ["localhost"], [], 30, now=datetime.now(UTC), force=False)
    other = msgspec.structs.replace(
        relay.config, cert=directory / certs.SERVER_CERTIFICATE, key=directory / certs.SERVER_KEY
    )
    with pytest.raises(UsageError, match="another key"):
        relay.reload(other)
    assert relay.config.cert != other.cert
    client = await house.client(OWNER)
    assert client.pin == pin


async def test_a_reload_changes_who_may_create_and_who_may_come(house):
    relay = house.open()
    limits = msgspec.structs.replace(relay.config.limits, connections_max=1)
    relay.reload(msgspec.structs.replace(relay.config, owners=(identity(OWNER),), limits=limits, listen="127.0.0.1:1"))
    assert relay.memory.policy.owners == {identity(OWNER)}
    assert relay._listener.doorkeeper.connections_max == 1


@pytest.mark.parametrize("changed", [{"queue_bytes_max": 2**17}, {"frame_before_login_bytes": 5_000}, {}])
async def test_what_a_reload_cannot_change_is_logged(house, caplog, changed):
    relay = house.open()
    limits = msgspec.structs.replace(relay.config.limits, **changed)
    with caplog.at_level("WARNING"):
        relay.reload(msgspec.structs.replace(relay.config, limits=limits))
    assert ("when the relay starts again" in caplog.text) == bool(changed)


async def test_a_port_in_use(house, config):
    relay = house.open()
    taken = msgspec.structs.replace(config, listen=f"127.0.0.1:{relay.address[1]}", memory=True)
    with pytest.raises(UsageError, match="cannot listen") as refusal:
        await server.serve(taken, ready=lambda *_: None)
    assert "--listen" in refusal.value.hint


@pytest.mark.parametrize("file", ["cert", "key"])
@pytest.mark.parametrize("damage", ["missing", "garbage", "other"])
async def test_certificates_that_cannot_be_used(config, file, damage, tmp_path_factory):
    path = getattr(config, file)
    if damage == "missing":
        path.unlink()
    elif damage == "garbage":
        path.write_text("no PEM")
    else:
        other = tmp_path_factory.mktemp("other")
        certs.generate(other, ["x"], [], 30, now=datetime.now(UTC), force=False)
        shutil.copy(other / path.name, path)
    with pytest.raises(UsageError) as refusal:
        await server.serve(config, ready=lambda *_: None)
    assert refusal.value.hint


async def test_a_data_directory_that_cannot_be_used(config, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((StoreError, UsageError)):
        await server.serve(msgspec.structs.replace(config, data=tmp_path / "file"), ready=lambda *_: None)


async def test_a_relay_makes_its_own_certificate_and_keeps_it(tmp_path):
    config = Config(listen="127.0.0.1:0", data=tmp_path / "data")
    pins = []
    for _ in range(2):
        serving = Serving(config)
        client = await serving.connect()
        pins.append(client.pin)
        client.close()
        serving.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving.task
    assert pins[0] == pins[1]


async def test_the_interpreter_is_tuned_while_it_serves_and_left_as_it_was(config):
    before = (sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count())
    inside = []

    def ready(*_address):
        inside.append((sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()))
        asyncio.get_running_loop().call_soon(task.cancel)

    task = asyncio.create_task(server.serve(config, ready=ready))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inside[0][0] < before[0]
    assert inside[0][1][0] > before[1][0]
    assert inside[0][2] > before[2]
    after = (sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count())
    assert after == (pytest.approx(before[0]), *before[1:])


@pytest.mark.parametrize(("soft", "hard", "wanted"), [(100, 5_000, 564), (5_000, 5_000, None), (100, 400, 400)])
def test_as_many_files_as_connections(monkeypatch, caplog, soft, hard, wanted):
    limits = []
    monkeypatch.setattr(server.resource, "getrlimit", lambda _kind: (soft, hard))
    monkeypatch.setattr(server.resource, "setrlimit", lambda _kind, pair: limits.append(pair))
    server._allow_files(500)
    assert limits == ([(wanted, hard)] if wanted else [])
    assert ("too few for 500 connections" in caplog.text) == (hard == 400)
