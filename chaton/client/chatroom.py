"""A room in the hands of a program: say something, hear what happens, moderate."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from chaton.client.attachments import get_file, send_file
from chaton.client.driver import Driver
from chaton.client.incoming import default_directory, whole_path
from chaton.client.news import AnyNotice, Subscription, room_of
from chaton.client.resolve import find_message, find_own_message, find_person, title
from chaton.errors import Fork, Refused, UsageError
from chaton.identity.ids import Identity, MessageId, Pin, RoomId
from chaton.identity.safety import pair_code, room_code
from chaton.limits import INVITE_LIFE_MS
from chaton.room.link import Link
from chaton.room.records import InviteFlag, Record, Role
from chaton.session import acts
from chaton.session.acts import Act
from chaton.session.content import Action, Content, Delete, Edit, React, Reply, Text
from chaton.session.errands import Removed, signed
from chaton.session.notices import Person, Said, Sent
from chaton.session.room import Room

Who: TypeAlias = Identity | str
Message: TypeAlias = MessageId | str


class ChatRoom:
    """A room of a ``Client``. Made by its ``create``, ``join``, ``open`` and by ``direct``.

    WHO is an identity, a nick, or at least 8 hex digits of an identity; a message is named by its id or at least 8 hex
    digits of it. All that waits raises ``Unreachable`` after 30 s and may be cancelled.

    Attributes:
        id: The room's id.
        driver: Its relay.
    """

    def __init__(self, driver: Driver, room: RoomId, subscribe: Callable[[Subscription], None]) -> None:
        self.driver = driver
        self.id = room
        self._subscribe = subscribe
        self._news = Subscription(self._concerns)
        subscribe(self._news)

    def _concerns(self, relay: Pin, notice: AnyNotice) -> bool:
        return relay == self.driver.pin and room_of(notice) in {None, self.id}

    @property
    def room(self) -> Room:
        """The room as this client sees it now."""
        return self.driver.session.rooms[self.id]

    @property
    def name(self) -> str:
        """The room's name; of a direct room ``@`` and the other one's nick."""
        return title(self.room)

    @property
    def topic(self) -> str:
        """The room's topic."""
        return str(self.room.teller.topic)

    @property
    def members(self) -> tuple[Person, ...]:
        """Everybody in the room: by rank, then by name."""
        return self.room.teller.people()

    def notices(self) -> Subscription:
        """What happens here and to the relay's connection, from when this handle was made on. One reader at a time."""
        return self._news

    def backlog(self, after: int = 0) -> list[Said]:
        """Every line after an event, as it stands now."""
        return self.room.timeline.backlog(after)

    # --- speaking ---

    async def send(self, content: str | Content) -> Sent:
        """Say something and wait until it is in the room.

        Raises:
            UsageError: It is empty or too long.
            Refused: The room or the relay does not take it: muted, closed, not-member….
            Fork: Sending is stopped until codes were compared.
            Unreachable: Not in time. It was not said, unless the hint says that it may be on its way.
        """
        self._check_open()
        return await self.driver.deliver(self.id, Text(content) if isinstance(content, str) else content)

    def say(self, content: str | Content, ref: int = 0) -> None:
        """Say something and do not wait: it stays in the outbox, on disk, until it is in the room.

        ``Sent`` or ``Rejected`` with ``ref``, a number from 0, tells what became of it. Raises as ``send``.
        """
        self._check_open()
        self.driver.line.start()
        self.driver.say(self.id, Text(content) if isinstance(content, str) else content, ref)

    def _check_open(self) -> None:
        room = self.driver.session.room(self.id)
        if room.entry.forked:
            raise Fork("somebody holds another history of this room; sending is stopped")
        if room.view.state.closed:
            raise Refused("closed", "the room is closed: nothing more is said in it")

    async def act(self, text: str) -> Sent:
        """``/me``: say what one does."""
        return await self.send(Action(text))

    async def reply(self, message: Message, text: str) -> Sent:
        """Answer a message."""
        return await self.send(Reply(self.find_message(message), text))

    async def edit(self, message: Message, text: str) -> Sent:
        """Give an own message another text; ``Refused`` for one of somebody else."""
        return await self.send(Edit(find_own_message(self.room, str(message)), text))

    async def delete(self, message: Message) -> Sent:
        """Take an own message back; ``Refused`` for one of somebody else."""
        return await self.send(Delete(find_own_message(self.room, str(message))))

    async def react(self, message: Message, emoji: str, *, add: bool = True) -> Sent:
        """Add an emoji to a message, or take the own one back."""
        return await self.send(React(self.find_message(message), add, emoji))

    async def send_file(self, path: Path | str, caption: str = "") -> Sent:
        """Send a file: up to 100 MiB, or what the relay takes. Returns when its message is in the room.

        A connection that breaks is waited for. Cancelling pauses: the same file again goes on where it was.

        Raises:
            UsageError: It cannot be read, is a directory or a device, or is too large.
            Refused, Fork, Unreachable: As ``send``.
            StoreError: The disk refuses.
        """
        self._check_open()
        return await send_file(self.driver, self.id, whole_path(path), caption)

    async def get_file(self, message: Message, directory: Path | str | None = None) -> Path:
        """Fetch a message's file into a directory (None: where the platform keeps what is fetched); where it is then.

        It gets the name that its sender gave it, made harmless, with a number where that is taken. Cancelling pauses.

        Raises:
            Refused: no-file, no-blob as the relay has it no more, bad-attachment as it is not what was sent.
            UsageError: The directory is no place for it, or it is being fetched already.
            Unreachable: Not in time; again goes on where it was.
            StoreError: The disk refuses.
        """
        target = default_directory() if directory is None else whole_path(directory)
        return await get_file(self.driver, self.id, self.find_message(message), target)

    async def direct(self, who: Who) -> "ChatRoom":
        """The direct room with a member."""
        peer = self.find_person(who)
        room = await self.driver.run(self.driver.session.direct(peer))
        return ChatRoom(self.driver, room, self._subscribe)

    # --- records ---

    async def kick(self, who: Who, reason: str = "") -> Removed:
        """Remove somebody who is in the room or waits."""
        return await self._remove(acts.remove(self.find_person(who), reason, ban=False))

    async def ban(self, who: Who, reason: str = "") -> Removed:
        """Remove somebody for good, or keep out somebody who is not in the room."""
        return await self._remove(acts.ban(self.find_person(who), reason))

    async def _remove(self, act: Act) -> Removed:
        return await self.driver.run(self.driver.session.remove(self.id, act))

    async def unban(self, who: Who) -> Record:
        """Lift a ban."""
        return await self.submit(acts.unban(self.find_person(who)))

    async def mute(self, who: Who, *, muted: bool = True) -> Record:
        """Let a member read but not speak, or speak again."""
        return await self.submit(acts.mute(self.find_person(who), muted=muted))

    async def role(self, who: Who, role: Role) -> Record:
        """Give a member another role; the owner's hands the room over."""
        return await self.submit(acts.role(self.find_person(who), role))

    async def admit(self, who: Who) -> Record:
        """Let in somebody who waits."""
        return await self.submit(acts.admit(self.find_person(who)))

    async def describe(self, *, name: str | None = None, topic: str | None = None) -> Record:
        """Give the room another name or topic; None leaves it as it is."""
        return await self.submit(acts.info(name, topic))

    async def nick(self, nick: str) -> Record:
        """Take another nick."""
        return await self.submit(acts.nick(nick))

    async def redact(self, message: Message) -> Record:
        """Hide a message from everybody."""
        return await self.submit(acts.redact(self.find_message(message)))

    async def invite(
        self, *, uses: int = 1, life_ms: int = INVITE_LIFE_MS, guest: bool = False, post_only: bool = False
    ) -> Link:
        """Make an invite link. Whoever holds it may join, until it is used up, taken back, or ``life_ms`` have passed.

        Args:
            uses: 1 to 1,000.
            life_ms: From now.
            guest: Whoever joins by it publishes keys for one day only.
            post_only: Whoever joins by it is a bot: it may send, and reads nothing.
        """
        flags = (InviteFlag.GUEST if guest else 0) | (InviteFlag.POST_ONLY if post_only else 0)
        session = self.driver.session
        return await self.driver.run(session.invite(self.id, uses=uses, life_ms=life_ms, flags=int(flags)))

    async def uninvite(self, n: int) -> Record:
        """Take back the invite that record ``n`` made."""
        return await self.submit(acts.uninvite(n))

    async def close(self, successor: RoomId | None = None) -> Record:
        """End the room for everybody."""
        return await self.submit(acts.close(successor))

    async def leave(self) -> Record:
        """Go, and wait until that is known here."""
        record = await self.submit(acts.leave())
        await self.driver.until(lambda: self.room.entry.status != "in")
        return record

    async def submit(self, act: Act) -> Record:
        """Sign an act and have it taken into the log."""
        return await self.driver.run(self.driver.session.act(self.id, act))

    async def sign(self, act: Act) -> Record:
        """Sign an act at the present head and do not submit it."""
        await self.in_step()
        return signed(self.driver.session.room(self.id), act)

    async def in_step(self) -> None:
        """Wait until the room is current; at once if one is not in it any more."""
        if self.room.entry.status == "in":
            await self.driver.run(self.driver.session.in_step(self.id))

    # --- what only this client knows ---

    def find_person(self, who: Who) -> Identity:
        """Whom a name means; ``UsageError`` if several, ``Refused`` if nobody."""
        return who if isinstance(who, Identity) else find_person(self.room, who)

    def find_message(self, message: Message) -> MessageId:
        """Which message an id means; ``UsageError`` if several, ``Refused`` if none."""
        return message if isinstance(message, MessageId) else find_message(self.room, message)

    def code(self) -> str:
        """The room's safety code: the same for all who hold the same log."""
        state = self.room.view.state
        if state.direct:
            raise UsageError("a direct room has no code of its own", hint="compare the code of the two people")
        return room_code(state.room, state.n, state.head)

    def pair_code(self, who: Who) -> str:
        """The safety code of oneself and somebody else."""
        return pair_code(self.driver.session.context.me, self.find_person(who))

    def compared(self, who: Who) -> None:
        """Remember that a person has compared the safety code with somebody."""
        identity = self.find_person(who)
        self.driver.do(lambda session: session.compared(identity))

    def excuse(self) -> None:
        """A person has looked at a fork and goes on sending."""
        self.driver.do(lambda session: session.rooms[self.id].inbox.excuse())

    def ignore(self, who: Who, *, ignored: bool = True) -> None:
        """Show somebody's messages no longer, or again."""
        identity = self.find_person(who)
        self.driver.do(lambda session: session.ignore(identity, ignored=ignored))

    def rekey(self) -> None:
        """Let the next message be under a new key: whoever has a copy of the present one reads nothing further."""
        self.driver.do(lambda session: session.room(self.id).sender.renew())

    def keep_draft(self, text: str) -> None:
        """Remember what a person has typed and not sent."""
        self.driver.do(lambda session: session.keep_draft(self.id, text))

    def mark_read(self, seq: int) -> None:
        """Remember that a person has seen everything up to event ``seq``."""
        self.driver.do(lambda session: session.mark_read(self.id, seq))
