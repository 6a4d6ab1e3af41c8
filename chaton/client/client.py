"""The client: one profile, the relays it knows, and its rooms."""

import asyncio
import contextlib
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from chaton.client import profile as profiles
from chaton.client.chatroom import ChatRoom
from chaton.client.control import ControlServer
from chaton.client.driver import Driver
from chaton.client.news import AnyNotice, Subscription
from chaton.client.passphrase import configured_passphrase
from chaton.client.perform import perform
from chaton.client.profile import Profile
from chaton.client.replies import AnyReply
from chaton.client.requests import AnyRequest
from chaton.client.resolve import find_room
from chaton.client.spool import sweep
from chaton.client.timing import Timing
from chaton.errors import ChatonError, Malformed, UsageError
from chaton.identity.ids import Identity, Pin, RoomId
from chaton.room.link import Address, Link
from chaton.session.errand import Interrupted
from chaton.session.memory import RoomEntry

_JOINS_MAX: Final = 5  # Connections that may break while one joins.


class Client:
    """A profile at work, as an asynchronous context manager.

    ::

        async with chaton.Client("~/.local/share/chaton/bot") as client:
            room = await client.join(link, nick="db1")
            await room.send("disk 91%")
            async for notice in room.notices(): ...

    Relays are connected to when something is asked of them. A connection that breaks comes back by itself, and what
    was said and is not in its room yet is sent again, and shown once. Whatever waits for a relay raises
    ``Unreachable`` after 30 s, and may be cancelled.

    Args:
        profile: An open profile, which stays open; or the directory of one, which is made if there is none, opened on
            entering and closed at the end; None for the default one. Opening one with a passphrase takes about 1 s.
        lasting: Whether this client stays: then it renews its keys hourly, and carries out requests of other processes
            that want the same profile. False is for one command: it gives up at once when nobody answers.
        passphrase: Of the profile: a text, or a function that asks a person for it.
        timing: Other deadlines, for tests.
    """

    def __init__(
        self,
        profile: Profile | Path | str | None = None,
        *,
        lasting: bool = True,
        passphrase: str | Callable[[], str] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._given = profile
        self._passphrase = passphrase
        self._lasting = lasting
        self._timing = timing or Timing()
        self._drivers: dict[Pin, Driver] = {}
        self._news: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._profile: Profile | None = None
        self._closing = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as opened:
            self._profile = self._open(opened)
            sweep(self._profile.directory)
            for pin in self._profile.relays():
                self._bring_back(pin)
            opened.push_async_callback(self._hang_up)
            if self._lasting:
                await opened.enter_async_context(ControlServer(self._profile.directory, self.perform, self.notices))
            self._closing = opened.pop_all()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._closing.aclose()

    def _open(self, opened: contextlib.AsyncExitStack) -> Profile:
        if isinstance(self._given, Profile):
            return self._given
        directory = profiles.default_directory() if self._given is None else Path(self._given).expanduser()
        return opened.enter_context(open_or_create(directory, self._passphrase))

    def _bring_back(self, pin: Pin) -> None:
        """The relay's sessions are read from the disk when they are first needed, its addresses now."""
        rooms = [entry for entry in self.profile.load(pin) if isinstance(entry, RoomEntry)]
        live = [entry for entry in rooms if entry.status in {"in", "joining"}] or rooms
        addresses = dict.fromkeys(Address(entry.host, entry.port, entry.pin) for entry in live)
        if addresses:
            self._drivers[pin] = self._make(list(addresses))

    def _make(self, addresses: list[Address]) -> Driver:
        pin = addresses[0].pin

        def tell(notice: AnyNotice) -> None:
            for news in list(self._news):
                news.put(pin, notice)

        return Driver(self.profile, addresses, tell, lasting=self._lasting, timing=self._timing)

    async def _hang_up(self) -> None:
        await asyncio.gather(*(driver.close() for driver in self._drivers.values()))
        for news in list(self._news):
            news.close()

    @property
    def profile(self) -> Profile:
        """The profile; ``UsageError`` outside of ``async with``."""
        if self._profile is None:
            raise UsageError("the client is not open", hint="use it in an async with block")
        return self._profile

    @property
    def identity(self) -> Identity:
        """Who one is."""
        return self.profile.me

    @property
    def drivers(self) -> list[Driver]:
        """The relays that this profile knows."""
        return list(self._drivers.values())

    # --- rooms ---

    async def create(
        self, address: Address, name: str, *, nick: str, topic: str = "", approve: bool = False, max_members: int = 100
    ) -> ChatRoom:
        """Make a room on a relay, and own it.

        Args:
            address: The relay and its pin.
            name: Sealed: the relay does not learn it, nor the topic or the nick.
            nick: One's own there.
            topic: What it is about.
            approve: Whether joiners wait for an admin.
            max_members: 2 to 1,000.

        Raises:
            UsageError: A text is too long, or no nick can be like this.
            Refused: The relay makes rooms for others only.
            PinMismatch: Another relay answers there.
            Unreachable: None answers in time.
        """
        driver = self.driver(address)
        errand = driver.session.create(name, topic, nick, approve=approve, max_members=max_members)
        return self._handle(driver, await driver.run(errand))

    async def join(self, link: Link | str, *, nick: str) -> ChatRoom:
        """Join by an invite link, and wait until the room is current; where an admin has to admit, without a limit.

        Raises:
            UsageError: It is no link, or no nick can be like this.
            Refused: bad-invite, invite-expired, banned, room-full, nick-taken….
            SecurityStop: The relay is not the one of the link, or shows another room than the link names.
            Unreachable: It does not answer in time; joining again takes up where this one ended.
        """
        link = read_link(link) if isinstance(link, str) else link
        driver = self.driver(link.address)
        room = self._handle(driver, link.room)
        for attempt in range(1, _JOINS_MAX + 1):
            try:
                await driver.run(driver.session.join(link, nick), admission=link.room)
                break
            except Interrupted:
                # The session takes up what the relay may have accepted already: nobody joins twice.
                if attempt == _JOINS_MAX:
                    raise
        await room.in_step()
        return room

    async def open(self, room: RoomId | str) -> ChatRoom:
        """A room that one is in, by its name or id, once it is current.

        Raises:
            UsageError: Several rooms fit, or none.
            Refused: One is out of it.
            Unreachable: Its relay does not answer in time.
        """
        found = self.room(room)
        await found.driver.run(found.driver.session.in_step(found.id))
        return found

    def room(self, room: RoomId | str) -> ChatRoom:
        """A room of this profile, as it was when last seen; raises as ``open``, and does not wait."""
        if isinstance(room, RoomId):
            met = [(driver.session.rooms[room], driver) for driver in self.drivers if room in driver.session.rooms]
        else:
            met = [(each, driver) for driver in self.drivers for each in driver.session.rooms.values()]
        found = find_room([each for each, _ in met], str(room))
        driver = next(driver for each, driver in met if each is found)
        return self._handle(driver, found.view.room)

    def _handle(self, driver: Driver, room: RoomId) -> ChatRoom:
        return ChatRoom(driver, room, self._news.add)

    def driver(self, address: Address) -> Driver:
        """What talks to a relay. One relay has one pin, whatever address it is met at."""
        driver = self._drivers.get(address.pin)
        if driver is None:
            driver = self._drivers[address.pin] = self._make([address])
        else:
            driver.learn(address)
        return driver

    # --- everything ---

    def notices(self) -> Subscription:
        """What happens in all rooms and to all connections, from now on."""
        news = Subscription(lambda _relay, _notice: True)
        self._news.add(news)
        return news

    async def perform(self, request: AnyRequest) -> AnyReply:
        """Carry out a request of ``chaton.client.requests``."""
        return await perform(self, request)

    def go_online(self) -> None:
        """Connect to every relay where one is in a room, and stay. One that cannot be is told by a notice."""
        for driver in self.drivers:
            if any(room.entry.status in {"in", "joining"} for room in driver.session.rooms.values()):
                with contextlib.suppress(ChatonError):
                    driver.line.start()

    def reconnect(self) -> None:
        """Try every connection now, whatever stopped it."""
        for driver in self.drivers:
            driver.line.reconnect()

    async def flush(self) -> None:
        """Wait until everything that was said is in its room, or refused; ``Unreachable`` after 30 s."""
        for driver in self.drivers:
            if any(_unsaid(driver)):
                await driver.until(lambda driver=driver: not any(_unsaid(driver)))  # type: ignore[misc]


def _unsaid(driver: Driver) -> list[bool]:
    live = (room for room in driver.session.rooms.values() if room.live and not room.entry.forked)
    return [bool(room.outbox) for room in live]


def open_or_create(directory: Path, passphrase: str | Callable[[], str] | None = None) -> Profile:
    """Open the profile in a directory, or make one there, wrapped if a passphrase is given or configured.

    Raises:
        ProfileLocked, WrongPassphrase, ProfileTooNew, ProfileError, StoreError: As ``Profile.open``.
    """
    given, ask = (passphrase, None) if isinstance(passphrase, str) else (None, passphrase)
    if profiles.exists(directory):
        return Profile.open(directory, passphrase=given, ask=ask)
    return Profile.create(directory, passphrase=given or configured_passphrase(directory))


def read_link(text: str) -> Link:
    """A link as it was pasted; ``UsageError`` for anything else."""
    try:
        return Link.decode(text.strip())
    except Malformed as cause:
        hint = "paste the whole link, from chaton: to its end; or ask for a new one"
        raise UsageError(str(cause), hint=hint) from cause
