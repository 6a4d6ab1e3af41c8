"""What a room shows: lines, and the edits, deletions, reactions and redactions that act on them (docs/protocol.md §7).

Acts count in the order of events, whenever they were opened: a message opened late takes its place, and what came
after it is played again on the lines it concerns.
"""

from bisect import insort
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from chaton.identity.ids import Identity, Instance, MessageId
from chaton.session.content import Action, Alive, Content, Delete, Edit, React, Reply, Text, Unreadable


class Shows(Enum):
    """What stands at a line's place."""

    CONTENT = "content"
    UNREADABLE = "unreadable"
    DELETED = "deleted"
    REDACTED = "redacted"


class Result(Enum):
    """What became of a message in the thread."""

    LINE = "line"
    ACCEPT = "accept"
    IGNORE = "ignore"


class Reaction(NamedTuple):
    """One membership's emoji on a line."""

    identity: Identity
    inst: Instance
    emoji: str


@dataclass(slots=True)
class Line:
    """A message that is shown by itself. ``text`` is its present text, None where nothing can be shown."""

    s: int
    id: MessageId
    identity: Identity
    inst: Instance
    content: Content | Unreadable
    text: str | None
    shows: Shows
    edited: bool = False
    reactions: list[Reaction] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether it is deleted or redacted: for good, and it takes no further act."""
        return self.shows in {Shows.DELETED, Shows.REDACTED}

    def end(self, shows: Shows) -> None:
        """Delete or redact it."""
        self.shows, self.text, self.edited, self.reactions = shows, None, False, []


class Post(NamedTuple):
    """A message that was opened, or (``content`` None) a REDACT of sufficient rank that names ``id``."""

    s: int
    id: MessageId
    identity: Identity
    inst: Instance
    content: Content | Unreadable | None


@dataclass(slots=True)
class Thread:
    """All lines of one room, and the acts that name one."""

    lines: dict[MessageId, Line] = field(default_factory=dict)
    _acts: dict[MessageId, list[Post]] = field(default_factory=dict)

    def post(self, post: Post) -> Result:
        """Take in one opened message, or one REDACT, whatever came before it."""
        content = post.content
        if isinstance(content, Alive):
            return Result.IGNORE
        if content is None or isinstance(content, Edit | Delete | React):
            target = post.id if content is None else content.message
            return self._act(target, post)
        self.lines[post.id] = _line(post)
        if post.id in self._acts:
            self._replay(post.id, -1)
        return Result.LINE

    def in_order(self) -> list[Line]:
        """Every line, in the order of events."""
        return sorted(self.lines.values(), key=lambda line: line.s)

    def _act(self, target: MessageId, act: Post) -> Result:
        acts = self._acts.setdefault(target, [])
        insort(acts, act, key=lambda one: one.s)
        line = self.lines.get(target)
        if line is None or acts[-1] is not act:
            return self._replay(target, act.s)
        return Result.ACCEPT if _counts(line, act) else Result.IGNORE

    def _replay(self, target: MessageId, s: int) -> Result:
        """Play all acts on a line from its beginning; tell what became of the one at event ``s``."""
        line = self.lines.get(target)
        if line is None:
            return Result.IGNORE
        fresh = _line(Post(line.s, line.id, line.identity, line.inst, line.content))
        result = Result.IGNORE
        for act in self._acts.get(target, []):
            counts = _counts(fresh, act)
            if act.s == s and counts:
                result = Result.ACCEPT
        self.lines[target] = fresh
        return result


def _line(post: Post) -> Line:
    assert post.content is not None
    text = getattr(post.content, "text", None)
    shows = Shows.UNREADABLE if isinstance(post.content, Unreadable) else Shows.CONTENT
    return Line(post.s, post.id, post.identity, post.inst, post.content, text, shows)


def _counts(line: Line, act: Post) -> bool:
    """Play an act on a line if it comes after it and the line still takes acts; tell whether it changed anything."""
    return act.s > line.s and not line.ended and _play(line, act)


def _play(line: Line, act: Post) -> bool:
    """Let one act count on a line, if it may."""
    own = (act.identity, act.inst) == (line.identity, line.inst)
    match act.content:
        case None:
            line.end(Shows.REDACTED)
        case Edit() if own and isinstance(line.content, Text | Action | Reply):
            line.text, line.edited = act.content.text, True
        case Delete() if own:
            line.end(Shows.DELETED)
        case React():
            return _react(line, Reaction(act.identity, act.inst, act.content.emoji), add=act.content.add)
        case _:
            return False
    return True


def _react(line: Line, reaction: Reaction, *, add: bool) -> bool:
    if add == (reaction in line.reactions):
        return False
    (line.reactions.append if add else line.reactions.remove)(reaction)
    return True
