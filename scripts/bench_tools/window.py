"""What the window spends: until it shows a long history, in a room where much is said, and from a key to the screen.

The window runs in a pseudo-terminal of its own process; what is waited for is waited for in the bytes that a terminal
gets. The flood comes from a scripted backend, so that only the window is measured.
"""

import asyncio
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
import tty
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import msgspec
from servers import CHATON, Place, make_certificate, running
from table import figure

from chaton.client.client import Client
from chaton.client.news import AnyNotice
from chaton.client.replies import AnyReply, LineFacts, Lines, MemberList, Ok, RoomFacts, RoomList
from chaton.client.requests import AnyRequest, Members, Page, Rooms
from chaton.identity.ids import Identity, MessageId, Pin, RoomId
from chaton.room.link import Address
from chaton.session.notices import Said
from chaton.session.text import clean
from chaton.tui.start import run_window

_HISTORY: Final = 10_000
_PER_SECOND: Final = 1_000
_TICK_S: Final = 0.01
_ROOM, _ME, _BEN = "1" * 64, "a" * 64, "b" * 64
_SIZE: Final = (30, 100)  # Rows, columns.
_KEYS: Final = [chr(0x2460 + number) for number in range(40)]  # Each one appears on the screen by being typed alone.
_APART_S: Final = 0.15
_MS: Final = 1_000
_PATIENCE_S: Final = 60


def table(*, tell: Callable[[str], None]) -> list[str]:
    """Everything, as lines of Markdown."""
    lines = ["| window | measured | wanted |", "| --- | --- | --- |"]
    tell("window: a profile with a long history")
    with tempfile.TemporaryDirectory(prefix="chaton-bench-") as name:
        lines += _history(Path(name))
    for rate in (0, _PER_SECOND):
        tell(f"window: keys while {rate} messages a second come")
        lines += _keys(rate)
    return lines


# --- a long history ---


def _history(directory: Path) -> list[str]:
    (directory / "certs").mkdir()
    place = Place(directory / "relay", *make_certificate(directory / "certs"))
    with running(CHATON, place, [1]) as relay:
        address = Address("127.0.0.1", relay.arguments["port"], Pin.from_hex(relay.arguments["pin"]))
        asyncio.run(_fill(directory / "profile", address))
        environment = {"CHATON_PROFILE": str(directory / "profile")}
        runs = [_open(["-m", "chaton", "open", "bench"], environment) for _ in range(3)]
    first, shown, spent = (median(times) for times in zip(*runs, strict=True))
    return [
        f"| process start to the first frame, {_HISTORY:,} messages, s | {figure(first)} | |",
        f"| process start to the history shown, s | {figure(shown)} | ≤ 1 |",
        f"| its processor seconds | {figure(spent)} | |",
    ]


async def _fill(profile: Path, address: Address) -> None:
    async with Client(profile) as client:
        room = await client.create(address, "bench", nick="ada")
        for number in range(1, _HISTORY + 1):
            room.say(f"said {number}", number)
            if number % 500 == 0:
                await client.flush()
        await client.flush()


def _open(arguments: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds to the first frame, until the newest message is on the screen, and of the processor until then."""
    terminal = _Terminal(arguments, environment)
    try:
        first = terminal.wait("\x1b[?1049h")
        return first, terminal.wait(f"said {_HISTORY}"), terminal.processor_seconds()
    finally:
        terminal.close()


# --- keys and a flood ---


def _keys(rate: int) -> list[str]:
    with tempfile.NamedTemporaryFile(prefix="chaton-bench-") as report:
        terminal = _Terminal([__file__, str(rate), report.name], {})
        try:
            terminal.wait("only members")
            before = terminal.processor_seconds()
            began, waits = time.perf_counter(), []
            for key in _KEYS:
                terminal.idle(_APART_S)
                waits.append(terminal.press(key) * _MS)
            share = (terminal.processor_seconds() - before) / (time.perf_counter() - began)
        finally:
            terminal.close()
        stalls = msgspec.json.decode(Path(report.name).read_bytes(), type=list[float])
    what = f"{rate:,} messages/s" if rate else "a quiet room"
    latencies = " / ".join(map(figure, (median(waits), quantiles(waits, n=20)[-1], max(waits))))
    return [
        f"| {what}: key to screen, ms, p50 / p95 / most | {latencies} | ≤ 50 |",
        f"| {what}: longest stall of the loop, ms | {figure(max(stalls))} | |",
        f"| {what}: share of a core, % | {figure(100 * share)} | |",
    ]


@dataclass
class Flood:
    """A backend with a long history, where others say something all the time."""

    rate: int
    said: int = _HISTORY
    asked: list[AnyRequest] = field(default_factory=list)

    async def perform(self, request: AnyRequest) -> AnyReply:
        """Answer what the window asks."""
        match request:
            case Rooms():
                facts = RoomFacts(
                    room=_ROOM, name="bench", topic="", nick="ada", identity=_ME, status="in", relay="here", members=2,
                    connection="online",
                )  # fmt: skip
                return RoomList(rooms=[facts])
            case Members():
                return MemberList(room=_ROOM, members=[])
            case Page():
                until = min(request.before or self.said + 1, self.said + 1)
                numbers = range(max(1, until - request.limit), until)
                return Lines(room=_ROOM, lines=[_line(number) for number in numbers])
        return Ok()

    async def notices(self) -> AsyncIterator[AnyNotice]:
        """As many a second as wished for."""
        began, first = time.monotonic(), self.said
        while True:
            await asyncio.sleep(_TICK_S)
            due = first + int((time.monotonic() - began) * self.rate)
            while self.said < due:
                self.said += 1
                yield _said(self.said)


def _line(number: int) -> LineFacts:
    return LineFacts(
        seq=number, at=_at(number), id=f"{number:064x}", sender="ben", identity=_BEN, kind="text",
        text=_text(number), to=None, own=False, re=None,
    )  # fmt: skip


def _said(number: int) -> Said:
    return Said(
        room=RoomId.from_hex(_ROOM), seq=number, at=_at(number), id=MessageId.from_hex(f"{number:064x}"),
        sender=clean("ben"), identity=Identity.from_hex(_BEN), kind="text", text=clean(_text(number)), own=False,
    )  # fmt: skip


def _at(number: int) -> int:
    return 1_800_000_000_000 + number * _MS


def _text(number: int) -> str:
    return f"said {number}: " + "disk 91 % on db1, cleaning up " * (number % 5)


async def _watch(stalls: list[float]) -> None:
    """How much later than it should a task of the same loop gets its turn, in ms."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(_TICK_S)
        stalls.append((time.perf_counter() - before - _TICK_S) * _MS)


async def _be_the_window(rate: int) -> list[float]:
    """The window until SIGTERM; how long the loop was stalled each time, in ms."""
    stalls: list[float] = []
    running = asyncio.ensure_future(run_window(Flood(rate), _ROOM))
    await asyncio.sleep(1)  # What starting costs is measured by itself.
    watching = asyncio.ensure_future(_watch(stalls))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    watching.cancel()  # Before the window ends: nobody types then.
    running.cancel()
    await asyncio.wait([running])
    return stalls


# --- a terminal ---


class _Terminal:
    """A process with a pseudo-terminal. All times are seconds from its start, or from a key."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._began = time.perf_counter()
        self._output = ""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            given = os.environ | environment | {"TERM": "xterm-256color"}
            os.execve(sys.executable, [sys.executable, *arguments], given)  # noqa: S606 - no shell is wanted here
        ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
        tty.setraw(self._fd)

    def wait(self, text: str) -> float:
        """Until it has written a text."""
        while text not in self._output:
            if time.perf_counter() - self._began > _PATIENCE_S or not self._read(_TICK_S):
                raise RuntimeError(f"{text!r} never came: {self._output[-2_000:]!r}")
        return time.perf_counter() - self._began

    def press(self, key: str) -> float:
        """Until a key is on the screen."""
        began = time.perf_counter()
        os.write(self._fd, key.encode())
        while key not in self._output:
            if time.perf_counter() - began > _PATIENCE_S or not self._read(_TICK_S):
                raise RuntimeError(f"{key!r} never came")
        return time.perf_counter() - began

    def idle(self, seconds: float) -> None:
        """Read on, and forget it."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._read(left)
        self._output = ""

    def _read(self, seconds: float) -> bool:
        """Take in what came; false at its end."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if ready:
            try:
                self._output += os.read(self._fd, 1 << 16).decode(errors="replace")
            except OSError:  # How Linux tells the end of a terminal.
                return False
        return True

    def processor_seconds(self) -> float:
        """What it has spent so far."""
        fields = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it, and wait."""
        os.kill(self._pid, signal.SIGTERM)
        while self._read(_PATIENCE_S):
            pass
        os.waitpid(self._pid, 0)
        os.close(self._fd)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(asyncio.run(_be_the_window(int(sys.argv[1])))))
