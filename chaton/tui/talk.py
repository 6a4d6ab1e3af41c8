"""The middle of the window: a room's lines, and beneath them where one types."""

import os
from typing import ClassVar, Final

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from chaton.client.replies import LineFacts
from chaton.errors import ChatonError
from chaton.tui.book import Book
from chaton.tui.completing import Scene, hint
from chaton.tui.composer import Composer
from chaton.tui.desk import Desk
from chaton.tui.looks import Look
from chaton.tui.panes import Bar, name_of
from chaton.tui.timeline import Timeline

_GONE_BY: Final = 3  # Completions that are shown before the one that stands there.
_PADDING: Final = 2  # Of the row that they are shown in.
_PROPOSED: Final = 15  # Completions that are shown around the one that stands there.
_WORDS: Final = {
    "r": "reply", "e": "edit", "d": "delete", "plus": "react", "g": "get", "x": "hide", "c": "copy", "i": "info",
}  # fmt: skip
_ABOUT: Final = {"r": "reply", "e": "edit", "d": "delete", "plus": "react", "x": "redact", "g": "get"}


class Talk(Vertical):
    """See the module. Scrolling, choosing a message and what can be done with one happen here."""

    DEFAULT_CSS = """
    Talk { width: 1fr; height: 1fr; }
    Talk #below, Talk #hint, Talk #moving { background: $background; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+up", "choose(-1)", show=False),
        Binding("ctrl+down", "choose(1)", show=False),
        Binding("escape", "to_end", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("ctrl+home", "page(-1000)", show=False),
        Binding("ctrl+end", "to_end", show=False),
        Binding("alt+r", "retry", show=False),
        Binding("alt+x", "give_up", show=False),
        # Letters come here only while a message is chosen: else they are typed.
        Binding("up,k", "choose(-1)", show=False),
        Binding("down,j", "choose(1)", show=False),
        Binding("enter,q", "to_end", show=False),
        Binding("space", "page(1)", show=False),
        Binding("c", "copy_line", show=False),
        Binding("i", "line_facts", show=False),
        *(Binding(key, f"about('{command}')", show=False) for key, command in _ABOUT.items()),
    ]

    class Looked(Message):
        """Whether the end of the room is on the screen may be another."""

    class Wondered(Message):
        """Everything about one message is wanted."""

        def __init__(self, line: LineFacts) -> None:
            super().__init__()
            self.line = line

    def __init__(self, desk: Desk, look: Look) -> None:
        super().__init__()
        self.desk = desk
        self.look = look
        self.timeline = Timeline(look)
        self.composer = Composer()
        self._below = Bar(id="below")
        self._hint = Bar(id="hint")
        self._moving = Bar(id="moving")

    def compose(self) -> ComposeResult:
        """Lines, what is below them or can be done with one, what can be typed, what is typed."""
        yield self.timeline
        yield self._below
        yield self._moving
        yield self._hint
        yield self.composer

    # --- drawing ---

    def restyle(self, look: Look) -> None:
        """Draw in another look."""
        self.look = look
        self.timeline.restyle(look)

    def turn_to(self, book: Book | None) -> None:
        """Show another room: its lines, and what was typed in it before."""
        self.timeline.show(book)
        composer = self.composer
        composer.room = book.facts.room if book is not None else ""
        composer.put(book.facts.draft if book is not None else "")
        composer.focus()

    def draw(self) -> None:
        """Draw what has changed."""
        self.timeline.update()
        self._draw_below()
        moving = self.desk.moving.text(self.desk.books, self.desk.current, self.look)
        self._moving.display = bool(moving.plain)
        self._moving.say(moving)
        book = self.desk.book
        self.composer.placeholder = Content(_prompt(book))  # A plain string would be read as markup.
        rooms = [name_of(one.facts) for one in self.desk.books.values()]
        self.composer.scene = Scene(book.talkers() if book is not None else (), rooms)

    def _draw_below(self) -> None:
        """What is beneath the screen, or what one can do with the chosen line."""
        timeline, bar = self.timeline, self._below
        bar.display = bool(timeline.chosen or not timeline.at_end)
        line = self._chosen()
        if line is not None:
            bar.say(Text(f"#{line.seq}  {' · '.join(_possible(line))} · Esc done", self.look.warning))
        elif not timeline.at_end:
            below = f"↓ {timeline.below} more below · " if timeline.below else ""
            bar.say(Text(f"{below}Esc goes to the newest", self.look.warning))

    def advise(self, text: Text | None = None) -> None:
        """Show something above where one types; else how the command that is typed is written."""
        bar = self._hint
        shown = text if text is not None else Text(hint(self.composer.text), self.look.dim)
        bar.display = bool(shown.plain)
        bar.say(shown)

    def on_text_area_changed(self) -> None:
        """What is typed is another."""
        self.advise()

    def on_composer_completing(self, message: Composer.Completing) -> None:
        """Show what Tab goes through, and some of what was before: no more than leaves the present one in sight."""
        first = max(0, message.number - _GONE_BY)
        while first < message.number and self._is_too_long(message.choices[first : message.number + 1]):
            first += 1
        shown = Text()
        for number, choice in enumerate(message.choices[first : first + _PROPOSED], first):
            shown.append(choice.strip(), self.look.named if number == message.number else self.look.dim).append("  ")
        self.advise(shown if len(message.choices) > 1 else None)

    def _is_too_long(self, listed: tuple[str, ...]) -> bool:
        return cell_len("  ".join(listed)) > self.size.width - _PADDING

    # --- moving ---

    def action_page(self, pages: float) -> None:
        """Scroll."""
        self.timeline.move(pages)

    def on_composer_scrolled(self, message: Composer.Scrolled) -> None:
        """Scroll, from where one types."""
        self.timeline.move(message.pages)

    def action_to_end(self) -> None:
        """Go to the newest line, and to where one types."""
        self.timeline.go_to_end()
        self.composer.focus()
        self._draw_below()

    async def on_timeline_at_top(self) -> None:
        """Older lines are wanted."""
        if self.timeline.reach_back():
            return
        try:
            await self.desk.turn_back()
        except ChatonError as error:
            self.advise(Text(str(error), self.look.bad))
        self.timeline.reach_back()

    def on_timeline_moved(self) -> None:
        """What is at the end is seen; what is above is not."""
        self._draw_below()
        self.post_message(self.Looked())

    async def go_to_line(self, seq: int) -> None:
        """Show and choose the line of an event, however far back it is."""
        book = self.desk.book
        while book is not None and book.first > seq and await self.desk.turn_back():
            pass
        self.timeline.update()
        self.timeline.go_to(seq)
        self.timeline.chosen = seq
        self.timeline.focus()
        self._draw_below()

    # --- one message ---

    def action_choose(self, step: int) -> None:
        """Choose a message."""
        line = self.timeline.choose(step)
        (self.timeline if line is not None else self.composer).focus()
        self._draw_below()

    def on_timeline_picked(self) -> None:
        """A message was clicked on."""
        (self.timeline if self.timeline.chosen else self.composer).focus()
        self._draw_below()

    def _chosen(self) -> LineFacts | None:
        return self.desk.book.at(self.timeline.chosen) if self.desk.book is not None else None

    def action_about(self, command: str) -> None:
        """Begin a command about the chosen message; Enter carries it out."""
        line = self._chosen()
        if line is None or not any(_ABOUT[key] == command for key in _keys(line) if key in _ABOUT):
            self.app.bell()
            return
        self.action_to_end()
        if command == "get":
            self.post_message(Composer.Submitted(f"/get #{line.seq}", self.composer.room, pasted=False))
            return
        text = {"edit": line.text, "react": ":"}.get(command, "")
        self.composer.put(f"/{command} #{line.seq} {text}")

    def action_copy_line(self) -> None:
        """Copy the chosen message."""
        if (line := self._chosen()) is not None:
            self._below.say(Text(self.copied(line.text), self.look.good))

    def copied(self, text: str) -> str:
        """Copy a text by the terminal; what to say of it."""
        self.app.copy_to_clipboard(text)
        return "copied, if tmux's set-clipboard is on" if os.environ.get("TMUX") else "copied"

    def action_line_facts(self) -> None:
        """Tell everything about the chosen message."""
        if (line := self._chosen()) is not None:
            self.post_message(self.Wondered(line))

    def action_retry(self) -> None:
        """Say once more what was refused."""
        if not self.desk.retry():
            self.app.bell()

    def action_give_up(self) -> None:
        """Drop what was refused; its text may be changed and sent anew."""
        dropped = self.desk.give_up()
        if dropped is not None and not self.composer.text:
            seq = self.desk.book.seq_of(dropped.re or "") if self.desk.book is not None else None
            about = f"/{dropped.kind} #{seq} " if seq is not None and dropped.re else ""
            self.composer.put(about + dropped.text)


def _keys(line: LineFacts) -> list[str]:
    """Which keys do something with a message."""
    if line.kind in {"deleted", "redacted"}:
        return ["c", "i"]
    own = ["e", "d"] if line.own and line.kind != "file" else ["d"] if line.own else ["x"]
    return ["r", *own, "plus", *(["g"] if line.kind == "file" else []), "c", "i"]


def _possible(line: LineFacts) -> list[str]:
    """What can be done with a message, and by which key."""
    return [f"{key.replace('plus', '+')} {_WORDS[key]}" for key in _keys(line)]


def _prompt(book: Book | None) -> str:
    """What stands where nothing is typed."""
    if book is None:
        return "chaton:… and your nick"
    if book.facts.status in {"out", "stopped"}:
        return "you are not in this room any more"
    return f"message {name_of(book.facts)}, or / for a command"
