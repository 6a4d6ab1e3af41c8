"""What comes over the room for a moment: texts to read, an invite link, a question, a choice, a search."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar, Final, TypeVar

import segno
from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

_Result = TypeVar("_Result")
_CHOICES_MAX: Final = 200
_QR_MARGIN: Final = 8  # Rows that a panel needs besides the code.
_DEAF_S: Final = 0.4  # What somebody types on when a question comes up is no answer to it.

_CSS: Final = """
{name} {{ align: center middle; background: $background 60%; }}
{name} > Vertical {{
    width: 90%; max-width: 110; height: auto; max-height: 92%; background: $surface; border: round $primary 60%;
    padding: 1 2; border-title-color: $foreground; border-subtitle-color: $text-muted;
}}
{name} VerticalScroll {{
    height: auto; max-height: 100%; scrollbar-size-vertical: 1; scrollbar-color: $foreground 30%;
    scrollbar-background: $surface; scrollbar-color-hover: $foreground 50%; scrollbar-background-hover: $surface;
}}
{name} Horizontal {{ height: auto; }}
{name} Static {{ height: auto; }}
{name} Input {{ border: none; height: 1; padding: 0; background: $panel; margin-bottom: 1; }}
{name} OptionList {{ border: none; height: auto; max-height: 20; padding: 0; background: $surface; }}
"""


def frame_css(name: str) -> str:
    """How a panel of that name is laid out: a frame in the middle of the screen."""
    return _CSS.format(name=name)


class TypedOn(Message):
    """Somebody went on typing while a panel came: it is for the room."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Panel(ModalScreen[_Result]):
    """Something to read. Who types on meanwhile, types in the room: nothing of it is lost."""

    def on_key(self, event: events.Key) -> None:
        """Hand a character on that means nothing here, and go."""
        if event.is_printable and event.character and event.key not in self._bindings.key_to_bindings:
            event.stop()
            self.post_message(TypedOn(event.character))
            if self.is_current:
                self.dismiss()


class TextPanel(Panel[None]):
    """A text to read, which may be longer than the screen."""

    DEFAULT_CSS = frame_css("TextPanel")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
    ]

    def __init__(self, title: str, text: Text) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """The text in a frame."""
        with Vertical() as frame:
            frame.border_title = Text(self._title)  # A plain string would be read as markup.
            frame.border_subtitle = "Esc closes"
            with VerticalScroll(can_focus=False):
                yield Static(self._text, markup=False)

    def action_scroll(self, rows: int) -> None:
        """Read on, or back."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invite link to hand over, and what to say of it."""

    link: str
    about: str
    warning: str = ""


class LinkPanel(Panel[None]):
    """An invite link, with a key to copy it, and a QR code where one fits."""

    DEFAULT_CSS = (
        frame_css("LinkPanel") + "LinkPanel #qr { width: auto; margin-top: 1; background: #ffffff; color: #000000; }"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "dismiss", show=False),
        Binding("c", "copy", show=False),
    ]

    def __init__(self, invitation: Invitation, copy: Callable[[str], str]) -> None:
        super().__init__()
        self._invitation = invitation
        self._copy = copy

    def compose(self) -> ComposeResult:
        """What it is for, the link, and what Enter does."""
        with Vertical() as frame:
            frame.border_title = "invite link"
            frame.border_subtitle = "c copies · Esc goes to the room"
            with VerticalScroll(can_focus=False):
                yield Static(Text(self._invitation.about), id="about")
                yield Static(Text("\n" + self._invitation.link + "\n", style="bold", overflow="fold"), id="link")
                if self._invitation.warning:
                    yield Static(Text(self._invitation.warning), id="warning")
                if code := self._code():
                    yield Static(Text(code, no_wrap=True), id="qr")

    def _code(self) -> str:
        """The link as a QR code of half blocks, dark on light; empty where it does not fit."""
        rows = qr_rows(self._invitation.link)
        needed_height = len(rows) + _QR_MARGIN + len(self._invitation.link) // 80
        fits = needed_height <= self.app.size.height * 0.92 and cell_len(rows[0]) + 8 <= self.app.size.width * 0.9
        return "\n".join(rows) if fits else ""

    def action_copy(self) -> None:
        """Copy the link by the terminal."""
        self.query_one(Vertical).border_subtitle = self._copy(self._invitation.link) + " · Esc goes to the room"


def qr_rows(text: str) -> list[str]:
    """A QR code in half blocks: two modules a cell, with its quiet zone. Dark is the foreground."""
    matrix = [list(row) for row in segno.make(text, error="l", micro=False).matrix_iter(border=2)]
    if len(matrix) % 2:
        matrix.append([0] * len(matrix[0]))
    blocks = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
    return [
        "".join(blocks[bool(above), bool(below)] for above, below in zip(*pair, strict=True))
        for pair in zip(matrix[::2], matrix[1::2], strict=True)
    ]


class Question(ModalScreen[bool]):
    """Something that cannot be undone: y does it, anything else does not. It says so once it listens."""

    DEFAULT_CSS = frame_css("Question") + "Question > Vertical { border: round $error; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", show=False),
        Binding("n,escape,enter,q", "dismiss(False)", show=False),
    ]

    def __init__(self, sentence: Text) -> None:
        super().__init__()
        self._sentence = sentence
        self._listens_since = float("inf")

    def compose(self) -> ComposeResult:
        """The question in a frame."""
        with Vertical() as frame:
            frame.border_title = "sure?"
            yield Static(self._sentence, markup=False)

    def on_mount(self) -> None:
        """Listen once it has been on the screen for a moment."""
        self.call_after_refresh(self.set_timer, _DEAF_S, self._listen)

    def _listen(self) -> None:
        self._listens_since = monotonic()
        self.query_one(Vertical).border_subtitle = "y does it · n or Esc does not"

    def on_key(self, event: events.Key) -> None:
        """Drop what was pressed too early, even where it comes late because the program was busy."""
        if event.time < self._listens_since:
            event.stop()


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose: what it is known by, and how it is shown."""

    key: str
    text: Text


class Chooser(ModalScreen[str]):
    """A line to type in, and below it what fits: Enter takes the highlighted one."""

    DEFAULT_CSS = frame_css("Chooser")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", show=False),
        Binding("up,ctrl+p", "move(-1)", show=False, priority=True),
        Binding("down,ctrl+n", "move(1)", show=False, priority=True),
    ]

    def __init__(self, title: str, find: Callable[[str], Awaitable[list[Choice]]], text: str = "") -> None:
        super().__init__()
        self._title = title
        self._find = find
        self._text = text
        self._keys: list[str] = []

    def compose(self) -> ComposeResult:
        """A field and a list."""
        with Vertical() as frame:
            frame.border_title = Text(self._title)  # A plain string would be read as markup.
            frame.border_subtitle = "Enter goes there · Esc closes"
            yield Input(self._text, compact=True)
            yield OptionList(compact=True, markup=False)

    async def on_mount(self) -> None:
        """Show what fits at once."""
        self.query_one(Input).focus()
        await self._refresh()

    async def on_input_changed(self) -> None:
        """Show what fits now."""
        await self._refresh()

    async def _refresh(self) -> None:
        found = (await self._find(self.query_one(Input).value))[:_CHOICES_MAX]
        self._keys = [one.key for one in found]
        shown = self.query_one(OptionList)
        shown.clear_options()
        shown.add_options([Option(one.text) for one in found] or [Option(Text("nothing", style="dim"), disabled=True)])
        shown.highlighted = 0 if found else None

    def action_move(self, step: int) -> None:
        """Highlight the next or the one before."""
        shown = self.query_one(OptionList)
        if self._keys:
            shown.highlighted = ((shown.highlighted or 0) + step) % len(self._keys)

    def on_input_submitted(self) -> None:
        """Take the highlighted one."""
        number = self.query_one(OptionList).highlighted
        self.dismiss(self._keys[number] if number is not None and self._keys else "")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click takes one as well."""
        self.dismiss(self._keys[event.option_index])
