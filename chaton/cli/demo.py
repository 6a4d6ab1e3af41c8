"""``chaton demo``: a short tour in one terminal. Whatever it says was observed in this very run; if not, it fails."""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from chaton.cli.common import command, run
from chaton.errors import ChatonError, Refused

if TYPE_CHECKING:
    from chaton.cli.child import RunningRelay
    from chaton.client.chatroom import ChatRoom
    from chaton.client.client import Client

_PATIENCE_S: Final = 10
_MAGIC: Final = b"CM\x01"
_HEX_WIDTH: Final = 16
_SHOWN_BYTES: Final = 64  # Of the ciphertext.
_LENGTH_AT: Final = 201  # Header 145, commitment 32, nonce 24 (docs/protocol.md §7).
_SIGNATURE_BYTES: Final = 64
_SECRET: Final = "the staging password is correct-horse-battery"  # noqa: S105  # That of nobody.
_WHISPER: Final = "between us: mallory has been copying this to the press"
_AFTER: Final = "new password, now that mallory is out: staple-paperclip"
_ROOM: Final = "incident-42"
_REASON: Final = "leaked the log"
_Event = TypeVar("_Event")


@command("demo")
def demo() -> None:
    """A short tour in one terminal, no questions: a relay, three members, messages, what the relay saw, a kick.

    Everything happens on this machine, in a temporary directory that is removed at the end. Each line that is ticked
    was checked in this very run; exit code 1 if one was not so.
    """
    with tempfile.TemporaryDirectory(prefix="chaton-demo-") as directory:
        run(_Tour(Path(directory)).take())


class _Tour:
    """One run: three people, their rooms, and the relay between them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rooms: dict[str, ChatRoom] = {}
        self._clients: dict[str, Client] = {}

    async def take(self) -> None:
        async with AsyncExitStack() as stack:
            relay = await self._start(stack)
            link = await self._gather(relay)
            await self._talk()
            self._look_into_the_relay()
            await self._kick()
            await self._go_on(link)
        _say("")
        _say("That was all. Your own room: chaton up", "bold")

    # --- the tour ---

    async def _start(self, stack: AsyncExitStack) -> "RunningRelay":
        from chaton.cli.child import relay_process
        from chaton.client.client import Client

        _title("1. A relay and three people, each with a profile of their own")
        _say("   starting ...", "dim")
        (self._directory / "relay").mkdir()
        options = ["--listen", "127.0.0.1:0", "--data", str(self._directory / "relay")]
        relay = await stack.enter_async_context(relay_process(options, self._directory / "relay.log"))
        for name in ("alice", "robin", "mallory"):
            self._clients[name] = await stack.enter_async_context(Client(self._directory / name))
        _tick(f"a relay listens on {relay.host}:{relay.port}; its key has the pin {relay.pin[:16]}…")
        for name, client in self._clients.items():
            _say(f"     {name:8} is the Ed25519 key {client.identity.short}…")
        return relay

    async def _gather(self, relay: "RunningRelay") -> str:
        from chaton.identity.ids import Pin
        from chaton.room.link import Address

        _title("2. Alice makes a room and sends one link to the others, over a channel they trust")
        address = Address(relay.host, relay.port, Pin.from_hex(relay.pin))
        alice = await self._clients["alice"].create(address, _ROOM, nick="alice")
        self._rooms["alice"] = alice
        link = (await alice.invite(uses=3)).encode()
        _say(f"     {link[:60]}… ({len(link)} characters, good for 3)")
        for name in ("robin", "mallory"):
            self._rooms[name] = await self._clients[name].join(link, nick=name)
        for room in self._rooms.values():
            await _patiently(room.driver.until(partial(self._is_full, room)))
        names = sorted(str(person.nick) for person in alice.members)
        _check(names == sorted(self._rooms), f"the room has three members: {', '.join(names)}")
        codes = {room.code() for room in self._rooms.values()}
        _check(len(codes) == 1, f"all three computed the same safety code: {codes.pop()}")
        return link

    async def _talk(self) -> None:
        _title("3. They talk; Alice tells Robin something alone")
        await self._rooms["alice"].send(_SECRET)
        for name in ("robin", "mallory"):
            heard = await self._hears(name, _SECRET)
            _check(heard.sender == "alice", f'{name} reads  <{heard.sender}> "{heard.text}"')
        direct = await self._rooms["alice"].direct(self._clients["robin"].identity)
        news = self._clients["robin"].notices()
        await direct.send(_WHISPER)
        from chaton.session.notices import Said

        whisper = await _first(news, lambda notice: isinstance(notice, Said) and notice.text == _WHISPER)
        _check(whisper.to is not None, f'robin reads, alone  <{whisper.sender}> "{whisper.text}"')
        elsewhere = [room.view.room for room in _rooms_of(self._clients["mallory"])]
        _check(whisper.room not in elsewhere, "mallory's client was never told of that conversation")

    def _look_into_the_relay(self) -> None:
        _title("4. What the relay stored")
        files = [path for path in (self._directory / "relay").rglob("*") if path.is_file()]
        stored = b"".join(path.read_bytes() for path in sorted(files) if path.suffix not in {".pem", ".key"})
        _say(f"     {len(stored):,} bytes in {', '.join(sorted(path.name for path in files))}")
        room = self._rooms["alice"].id
        _check(bytes(room) in stored, "it holds the room by its id, so this is the right place to look")
        hidden = {
            "the message": _SECRET, "the direct message": _WHISPER, "the room's name": _ROOM, "Alice's nick": "alice",
            "Robin's nick": "robin", "Mallory's nick": "mallory",
        }  # fmt: skip
        for what, text in hidden.items():
            _check(text.encode() not in stored, f'{what} is not in it: {stored.count(text.encode())} times "{text}"')
        at = stored.find(_MAGIC + room)
        _check(at >= 0, "this is how it keeps Alice's message, and all it ever had of it:")
        self._show_envelope(stored[at:])
        _say("       It does know keys, who sends when, rough sizes and addresses: no relay is kept from those.", "dim")

    def _show_envelope(self, raw: bytes) -> None:
        """The fields of an envelope as the relay reads them, and the beginning of what it cannot."""
        from chaton.room.envelope import Envelope

        size = int.from_bytes(raw[_LENGTH_AT : _LENGTH_AT + 4])
        envelope = Envelope.decode(raw[: _LENGTH_AT + 4 + size + _SIGNATURE_BYTES])
        header = envelope.header
        _say(
            f"       room {header.room.short}…, key chain {header.chain.short}…, message {header.index} of that chain",
            "dim",
        )
        _say(f"       its sender had seen {header.n} records, {header.s} events and {header.transcript.short}…", "dim")
        _say(f"       {size} bytes of ciphertext, padded, the same for any short text:", "dim")
        for line in _hexdump(envelope.ciphertext[:_SHOWN_BYTES]):
            _say(f"         {line}", "dim")

    async def _kick(self) -> None:
        from chaton.session.notices import Ended, MemberChanged

        _title("5. Alice kicks Mallory: a signed record that every client checks for itself")
        alice, news = self._rooms["alice"], self._clients["mallory"].notices()
        seen_by_robin = self._clients["robin"].notices()
        removed = await alice.kick("mallory", _REASON)
        told = await _first(seen_by_robin, lambda notice: isinstance(notice, MemberChanged))
        signer = self._clients["alice"].identity
        _check(
            (told.action, told.by_identity, told.reason) == ("kicked", signer, _REASON),
            f'robin\'s client checked it: {told.nick} was kicked by {told.by} ({signer.short}), "{told.reason}"',
        )
        removed.record.check_signatures()
        _check(removed.record.actor == signer, f"record {removed.record.n} bears Alice's signature, and verifies")
        end = await _first(news, lambda notice: isinstance(notice, Ended))
        _check(end.code == "kicked", f"mallory reads: {end.detail}")

    async def _go_on(self, link: str) -> None:
        _title("6. All keys have changed, and the old link is dead")
        before = self._chains_of_alice()
        await self._rooms["alice"].send(_AFTER)
        heard = await self._hears("robin", _AFTER)
        _check(heard.text == _AFTER, f'robin reads  <{heard.sender}> "{heard.text}"')
        fresh = self._chains_of_alice() - before
        _check(len(fresh) == 1, f"Alice sealed it under a new key chain, {next(iter(fresh)).hex()[:16]}…")
        known = self._known_chains("mallory")
        given = f"of Alice's {len(before | fresh)} key chains Mallory was given {len(known & before)}"
        _check(known.isdisjoint(fresh) and bool(known & before), given)
        read = [line.text for line in self._rooms["mallory"].backlog()]
        _check(_SECRET in read and _AFTER not in read, "mallory has what was said to her before, and nothing since")
        try:
            await self._clients["mallory"].join(link, nick="mallory")
        except Refused as refusal:
            _check(True, f"mallory tries the old link once more: refused ({refusal.code}), {refusal}")
        else:
            _check(False, "mallory tries the old link once more, and is refused")

    # --- looking closer ---

    def _is_full(self, room: "ChatRoom") -> bool:
        return len(room.members) == len(self._clients)

    async def _hears(self, name: str, text: str) -> Any:
        room = self._rooms[name]
        await _patiently(room.driver.until(lambda: any(line.text == text for line in room.backlog())))
        return next(line for line in room.backlog() if line.text == text)

    def _chains_of_alice(self) -> set[bytes]:
        me = self._clients["alice"].identity
        messages = self._rooms["alice"].room.timeline.messages.values()
        return {bytes(entry.chain) for entry in messages if entry.chain is not None and entry.sender == me}

    def _known_chains(self, name: str) -> set[bytes]:
        return {bytes(chain) for chain in self._rooms[name].room.reader.chains}


def _rooms_of(client: "Client") -> list[Any]:
    return [room for driver in client.drivers for room in driver.session.rooms.values()]


async def _first(news: Any, wanted: Callable[[Any], bool]) -> Any:
    async def look() -> Any:
        async for notice in news:
            if wanted(notice):
                return notice
        raise ChatonError("the demo's client ended early")

    return await _patiently(look())


async def _patiently(coming: Awaitable[_Event]) -> _Event:
    try:
        return await asyncio.wait_for(coming, _PATIENCE_S)
    except TimeoutError as cause:
        raise ChatonError(f"what should have happened did not, within {_PATIENCE_S} seconds") from cause


def _hexdump(raw: bytes) -> list[str]:
    rows = [raw[at : at + _HEX_WIDTH] for at in range(0, len(raw), _HEX_WIDTH)]
    return [f"{row.hex(' '):47}  {''.join(chr(c) if 32 <= c < 127 else '.' for c in row)}" for row in rows]  # noqa: PLR2004


def _title(text: str) -> None:
    _say("")
    _say(text, "bold")


def _check(is_so: bool, claim: str) -> None:
    """Print a claim that holds; end the tour at one that does not."""
    if not is_so:
        raise ChatonError(f"this did not hold in this run: {claim}", hint="please report it")
    _tick(claim)


def _tick(claim: str) -> None:
    from chaton.cli.output import paint

    _say(f"   {paint('ok', 'green', sys.stdout)}  {claim}")


def _say(text: str, style: str = "") -> None:
    from chaton.cli.output import put

    put(text, style)
