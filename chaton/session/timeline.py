"""What a room has said to this member: its messages, and the lines they make."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec.structs import asdict

from chaton.errors import Refused
from chaton.identity.ids import BlobHash, BlobId, Identity, Instance, MessageId
from chaton.limits import PLAINTEXT_HEADER_BYTES
from chaton.room.records import Record, Redact, Role
from chaton.session.content import Delete, File, Plaintext, React
from chaton.session.filename import file_name
from chaton.session.memory import EventEntry, RecalledEntry
from chaton.session.notices import FileFacts, Said
from chaton.session.telling import Teller, kind_name
from chaton.session.text import clean
from chaton.session.thread import Line, Post, Result, Shows, Thread
from chaton.session.view import View
from chaton.vault.keys import FileKey

_NO_FILE: Final = File(BlobId.zero(), FileKey(bytes(FileKey.SIZE)), BlobHash.zero(), 0, "", "")


class PassedRecord(NamedTuple):
    """Record ``n`` was event ``s``, which the relay took at ``at`` (ms)."""

    s: int
    n: int
    at: int


@dataclass(slots=True)
class Timeline:
    """All messages of one room that this member was shown.

    Attributes:
        peer: The other one, in a direct room.
        keep: Remembers an entry that was changed.
        messages: Every message, opened or not, by its id.
        redactions: REDACT records by the message they name: event, number, rank of the signer.
        passed: The records among the events.
        recalled: What was read before the room was begun anew in the same membership, and was not told again yet.
    """

    view: View
    teller: Teller
    peer: Identity | None
    keep: Callable[[EventEntry], None]
    messages: dict[MessageId, EventEntry] = field(default_factory=dict)
    redactions: dict[MessageId, list[tuple[int, int, Role]]] = field(default_factory=dict)
    passed: list[PassedRecord] = field(default_factory=list)
    recalled: dict[MessageId, RecalledEntry] = field(default_factory=dict)
    thread: Thread = field(default_factory=Thread)

    def note(self, entry: EventEntry) -> None:
        """Write a message down. A repetition of one never takes its place."""
        self.messages.setdefault(MessageId(entry.id), entry)

    def post(self, entry: EventEntry) -> Said | None:
        """Let an opened or own message take its place; the notice of it, or None if it shows nothing."""
        assert entry.sender is not None
        self.note(entry)
        message = MessageId(entry.id)
        content = Plaintext.decode(entry.plain).content
        result = self.thread.post(Post(entry.s, message, entry.sender, entry.inst or Instance.zero(), content))
        if result is Result.LINE:
            self._play(message, self.redactions.get(message, []))
        self._forget_file(content.message if isinstance(content, Delete) else message)
        over = result is Result.LINE and self.thread.lines[message].ended
        return None if result is Result.IGNORE or over else self.said(entry)

    def take_over(self, earlier: "Timeline") -> None:
        """Go on from what was shown before. What is of this same membership waits for its place to be told again."""
        for message, entry in earlier.messages.items():
            if entry.s > self.view.history.first and entry.state != "held":
                self.recalled[message] = RecalledEntry(**asdict(entry))
            elif entry.state in {"opened", "own"}:
                self.post(entry)

    def redact(self, record: Record, s: int) -> bool:
        """Take in a REDACT at event ``s``; whether it hides a line now. It may do so later, when the line is opened."""
        assert isinstance(record.body, Redact)
        inst = self.view.register.inst_of(record.actor, record.n)
        rank = self.view.register.rank_at(inst, record.n) if inst else Role.MEMBER
        redaction = (s, record.n, rank)
        self.redactions.setdefault(record.body.message, []).append(redaction)
        played = self._play(record.body.message, [redaction])
        self._forget_file(record.body.message)
        return played

    def file(self, message: MessageId) -> File:
        """What fetches and opens the file of a message.

        Raises:
            Refused: no-file, as it carries none, or was deleted or redacted.
        """
        line = self.thread.lines.get(message)
        if line is None or line.ended or not isinstance(line.content, File):
            raise Refused("no-file", "this message carries no file", hint="chaton tail ROOM shows which do")
        return line.content

    def _forget_file(self, message: MessageId) -> None:
        """Of a file whose line was deleted or redacted, forget where it is and what opens it: no line comes back."""
        line = self.thread.lines.get(message)
        if line is None or not line.ended or not isinstance(line.content, File) or line.content.blob == _NO_FILE.blob:
            return
        entry = self.messages[message]
        line.content = _NO_FILE
        entry.plain = entry.plain[:PLAINTEXT_HEADER_BYTES] + _NO_FILE.encode()
        self.keep(entry)

    def said(self, entry: EventEntry, line: Line | None = None) -> Said:
        """The notice of a message as it was sent, or as its line stands now."""
        assert entry.sender is not None
        content = Plaintext.decode(entry.plain).content
        text = line.text if line is not None else getattr(content, "text", None)
        own = entry.sender == self.view.me
        ended = line is not None and line.ended
        to = None if self.peer is None else self.peer if own else self.view.me
        return Said(
            room=self.view.room,
            seq=entry.s,
            at=entry.at,
            id=MessageId(entry.id),
            sender=self.teller.called(entry.sender),
            identity=entry.sender,
            kind=line.shows.value if line is not None and ended else kind_name(content),
            text=clean(content.emoji if isinstance(content, React) else text or ""),
            own=own,
            to=None if to is None else self.teller.called(to),
            re=getattr(content, "message", None),
            file=FileFacts(file_name(content.name), content.size) if isinstance(content, File) and not ended else None,
            added=content.add if isinstance(content, React) else True,
            stale=entry.stale,
        )

    def backlog(self, after: int = 0) -> list[Said]:
        """Every line after an event, as it stands now; redacted ones are left out."""
        lines = (line for line in self.thread.in_order() if line.s > after and line.shows is not Shows.REDACTED)
        return [self.said(self.messages[line.id], line) for line in lines]

    def redact_all(self, records: list[Record], s: int) -> None:
        """Take in the REDACTs of a part of the log that no event brings, as if at event ``s``."""
        for record in records:
            if isinstance(record.body, Redact):
                self.redact(record, s)

    def _play(self, message: MessageId, redactions: list[tuple[int, int, Role]]) -> bool:
        """Let those REDACTs of a message count whose signers outranked its author then."""
        line, played = self.thread.lines.get(message), False
        if line is None:
            return False
        for s, n, rank in redactions:
            if rank > self.view.register.rank_at(line.inst, n):
                post = Post(s, message, line.identity, line.inst, None)
                played |= self.thread.post(post) is Result.ACCEPT
        return played
