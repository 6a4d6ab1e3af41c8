"""A relay in a process of its own that may be hurt: killed, starved of files or disk, sent signals."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chaton.relay.config import AddressRates, Limits, Rate, Rates
from chaton.relay.hub.room import Room
from chaton.relay.store.sqlite import SqliteStore
from tests.e2e.conftest import RelayProcess

ROOT = Path(__file__).parents[2]
# What is tried here is the disk and the process, so nobody is to be refused for asking too much.
_FAST = Rate(per_second=1e9, burst=1e9)
UNLIMITED = Limits(
    identity=Rates(**dict.fromkeys(Rates().by_kind(), _FAST)),
    address=AddressRates(**dict.fromkeys(AddressRates().by_kind(), _FAST)),
    nicks_per_day=100_000,
)
_UNLIMITED_TOML = "[limits]\nleaves_per_day = 100000\n" + "".join(
    f"[limits.{of}]\n" + "".join(f"{kind} = {{ per_second = 1e9, burst = 1e9 }}\n" for kind in rates.by_kind())
    for of, rates in (("identity", UNLIMITED.identity), ("address", UNLIMITED.address))
)


@dataclass
class HurtRelay(RelayProcess):
    """``chaton serve`` without limits; what it logs is kept in ``log`` over all its starts.

    Attributes:
        prepare: Called in the new process before the program is.
        options: Further options of the command.
    """

    prepare: Callable[[], None] | None = None
    options: tuple[str, ...] = ()

    @property
    def log_file(self) -> Path:
        return self.data.with_suffix(".log")

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def pid(self) -> int:
        return self.process.pid

    async def spawn(self) -> None:
        """Start the program, and do not wait until it listens."""
        config = self.data.with_suffix(".toml")
        config.write_text(_UNLIMITED_TOML)
        with self.log_file.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "chaton", "serve", "--config", str(config),
                "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data), *self.options,
                stdout=asyncio.subprocess.PIPE, stderr=log, cwd=ROOT, preexec_fn=self.prepare,
            )  # fmt: skip

    async def listening(self) -> None:
        line = (await asyncio.wait_for(self.process.stdout.readline(), 60)).decode()
        found = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+) pin ([0-9a-f]{64})\n", line)
        assert found, line + self.log
        self.port, self.pin = int(found[1]), found[2]

    async def start(self) -> None:
        await self.spawn()
        await self.listening()

    async def logged(self, text: str, count: int = 1) -> None:
        """Wait until a sentence stands in the log so many times."""
        async with asyncio.timeout(30):
            while self.log.count(text) < count:  # noqa: ASYNC110 - a file tells nobody that it has grown
                await asyncio.sleep(0.01)

    def hang_up(self) -> None:
        os.kill(self.pid, signal.SIGHUP)

    def cpu_s(self) -> float:
        """Processor seconds that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def opened(data: Path) -> Iterator[SqliteStore]:
    """The store that a relay which has ended left behind."""
    store = SqliteStore(data)
    try:
        yield store
    finally:
        store.close()


def rooms_on_disk(data: Path) -> dict[bytes, Room]:
    """Every room as a fresh relay would load it, each event's place and hash checked on the way."""
    with opened(data) as store:
        pairs = {pair.room: pair for pair in store.directs()}
        return {room: Room.of_rows(store.skeleton(room), pairs.get(room)) for room in (*store.rooms(), *pairs)}
