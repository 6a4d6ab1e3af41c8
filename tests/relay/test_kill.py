"""kill -9 at any moment: nothing that was acknowledged is lost, and what is there is a whole history."""

import asyncio
import contextlib
import os
import signal
import sys

import pytest

from chaton.relay import certs
from chaton.room.envelope import message_id
from chaton.wire import frames
from tests.relay.client import Closed, RawClient
from tests.relay.helpers import OWNER, events, follow
from tests.relay.play import Script

SERVE = """
import asyncio, sys
from pathlib import Path
from chaton.relay import server
from chaton.relay.config import Config, Limits, Rate, Rates
rates = Rates(messages=Rate(per_second=1e6, burst=1e6))
cert, key, data = map(Path, sys.argv[1:])
config = Config(listen="127.0.0.1:0", data=data, cert=cert, key=key, limits=Limits(identity=rates))
asyncio.run(server.serve(config, ready=lambda host, port, pin: print(port, pin, flush=True)))
"""


@contextlib.asynccontextmanager
async def relay_process(pair, data):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, pair / certs.SERVER_CERTIFICATE, pair / certs.SERVER_KEY, data,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        port, pin = (await process.stdout.readline()).decode().split()
        yield process, ("127.0.0.1", int(port), bytes.fromhex(pin))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.parametrize("acknowledged", [1, 40, 160])
async def test_kill_9(pair, tmp_path, acknowledged):
    script = Script(OWNER)
    async with relay_process(pair, tmp_path / "data") as (process, where):
        owner = await RawClient.connect(*where)
        await owner.login(OWNER)
        await owner.ask(frames.Create, script.genesis.raw)
        sent = [script.message() for _ in range(400)]
        await owner.say(*(frames.Send(n, script.room, envelope) for n, envelope in enumerate(sent, 1_000)))
        accepted = [await owner.expect(frames.Accepted) for _ in range(acknowledged)]
        os.kill(process.pid, signal.SIGKILL)
        with contextlib.suppress(Closed, ConnectionError):
            while True:
                accepted.append(await owner.expect(frames.Accepted))
        owner.close()
    async with relay_process(pair, tmp_path / "data") as (_, where):
        owner = await RawClient.connect(*where)
        (room,) = (await owner.login(OWNER)).rooms
        assert room.s >= len(accepted) >= acknowledged
        await follow(owner, script)
        told = await events(owner, room.s)
        for event in told:
            transcript = script.history.add(message_id(event.body))
            if event.s <= len(accepted):
                answer = accepted[event.s - 1]
                assert (answer.s, answer.transcript) == (event.s, transcript)
        assert [event.body for event in told] == sent[: len(told)]
        owner.close()
