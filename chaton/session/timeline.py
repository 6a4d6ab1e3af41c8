"""What a room has said to this member: its messages, and the lines they make."""

from dataclasses import dataclass, field

from chaton.identity.ids import Identity, Instance, MessageId
from chaton.room.records import Record, Redact, Role
from chaton.session.content import File, Plaintext, React
from chaton.session.memory import EventEntry
from chaton.session.notices import FileFacts, Said
from chaton.session.telling import Teller, kind_name
from chaton.session.text import clean, clean_line
from chaton.session.thread import Line, Post, Result, Shows, Thread
from chaton.session.view import View


@dataclass(slots=True)
class Timeline:
    """All messages of one room that this member was shown.

    Attributes:
        peer: The other one, in a direct room.
        messages: Every message, opened or not, by its id.
        redactions: REDACT records by the message they name: event, number, rank of the signer.
    """

    view: View
    teller: Teller
    peer: Identity | None
    messages: dict[MessageId, EventEntry] = field(default_factory=dict)
    redactions: dict[MessageId, list[tuple[int, int, Role]]] = field(default_factory=dict)
    thread: Thread = field(default_factory=Thread)

    def note(self, entry: EventEntry) -> None:
        """Write a message down. A repetition of one never takes its place."""
        if self.messages.setdefault(MessageId(entry.id), entry).s == entry.s:
            self.messages[MessageId(entry.id)] = entry

    def post(self, entry: EventEntry) -> Said | None:
        """Let an opened or own message take its place; the notice of it, or None if it shows nothing."""
        assert entry.sender is not None
        self.note(entry)
        message = MessageId(entry.id)
        content = Plaintext.decode(entry.plain).content
        result = self.thread.post(Post(entry.s, message, entry.sender, entry.inst or Instance.zero(), content))
        redacted = result is Result.LINE and self._play(message, self.redactions.get(message, []))
        return None if result is Result.IGNORE or redacted else self.said(entry)

    def take_over(self, earlier: "Timeline") -> None:
        """Go on from what was shown during an earlier membership."""
        for entry in earlier.messages.values():
            if entry.state in {"opened", "own"}:
                self.post(entry)

    def redact(self, record: Record, s: int) -> bool:
        """Take in a REDACT at event ``s``; whether it hides a line now. It may do so later, when the line is opened."""
        assert isinstance(record.body, Redact)
        inst = self.view.register.inst_of(record.actor, record.n)
        rank = self.view.register.rank_at(inst, record.n) if inst else Role.MEMBER
        redaction = (s, record.n, rank)
        self.redactions.setdefault(record.body.message, []).append(redaction)
        return self._play(record.body.message, [redaction])

    def said(self, entry: EventEntry, line: Line | None = None) -> Said:
        """The notice of a message as it was sent, or as its line stands now."""
        assert entry.sender is not None
        content = Plaintext.decode(entry.plain).content
        text = line.text if line is not None else getattr(content, "text", None)
        own = entry.sender == self.view.me
        to = None if self.peer is None else self.peer if own else self.view.me
        return Said(
            room=self.view.room,
            seq=entry.s,
            at=entry.at,
            id=MessageId(entry.id),
            sender=self.teller.called(entry.sender),
            identity=entry.sender,
            kind=line.shows.value if line is not None and line.ended else kind_name(content),
            text=clean(content.emoji if isinstance(content, React) else text or ""),
            own=own,
            to=None if to is None else self.teller.called(to),
            re=getattr(content, "message", None),
            file=FileFacts(clean_line(content.name), content.size) if isinstance(content, File) else None,
            added=content.add if isinstance(content, React) else True,
            stale=entry.stale,
        )

    def backlog(self, after: int = 0) -> list[Said]:
        """Every line after an event, as it stands now; redacted ones are left out."""
        lines = (line for line in self.thread.in_order() if line.s > after and line.shows is not Shows.REDACTED)
        return [self.said(self.messages[line.id], line) for line in lines]

    def redact_before(self, records: list[Record], s: int) -> None:
        """Take in the REDACTs of a log from before one's own membership, which begins with event ``s``."""
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
