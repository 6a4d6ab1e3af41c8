"""The composer: where one types. Several lines, a history, completion, and the keys that hands know from elsewhere."""

from dataclasses import dataclass
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from chaton.tui.completing import Completion, Scene, complete

_HISTORY_MAX: Final = 200
_NEW_LINE: Final = {"ctrl+j", "alt+enter", "shift+enter"}
_COMPLETING: Final = {"tab": 1, "shift+tab": -1}


@dataclass(slots=True)
class _Cycle:
    """A completion that Tab goes through: what is put in now, and from where."""

    completion: Completion
    number: int
    end: int


class Composer(TextArea):
    """See the module."""

    DEFAULT_CSS = """
    Composer {
        height: auto; max-height: 8; min-height: 1; min-width: 8; border: none; padding: 0 1; background: $surface;
        scrollbar-size-vertical: 1;
    }
    Composer:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+b", "cursor_word_left", show=False),
        Binding("alt+f", "cursor_word_right", show=False),
        Binding("alt+d", "delete_word_right", show=False),
        Binding("ctrl+y", "yank", show=False),
        Binding("ctrl+d", "delete_or('quit')", show=False),
        Binding("ctrl+k", "kill_or('switch')", show=False),
        Binding("ctrl+z", "undo_or('suspend_process')", show=False),
        Binding("ctrl+c", "app.interrupt", show=False),
    ]

    class Submitted(Message):
        """Something is to be said or done, in the room where it was typed.

        ``pasted``: some of it was pasted and has several lines.
        """

        def __init__(self, text: str, room: str, *, pasted: bool) -> None:
            super().__init__()
            self.text = text
            self.room = room
            self.pasted = pasted

    class Scrolled(Message):
        """The room is to be scrolled by so many screens."""

        def __init__(self, pages: int) -> None:
            super().__init__()
            self.pages = pages

    class Completing(Message):
        """What Tab proposes, as it is listed, and which of it stands there now."""

        def __init__(self, choices: tuple[str, ...], number: int) -> None:
            super().__init__()
            self.choices = choices
            self.number = number

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # As Textual calls it.
        super().__init__(id=id, soft_wrap=True, show_line_numbers=False, highlight_cursor_line=False, compact=True)
        self.cursor_blink = False  # Nothing is drawn, or sent over a slow line, while nothing happens.
        self.scene = Scene()
        self.room = ""  # The id of the room that one types in.
        self._pasted = False
        self._history: list[str] = []
        self._back = 0  # How far back in the history what is shown stands.
        self._kept = ""  # What was being typed before somebody went back.
        self._killed = ""
        self._cycle: _Cycle | None = None

    # --- saying ---

    def action_submit(self) -> None:
        """Hand over what was typed."""
        text, pasted = self.text, self._pasted
        if not text.strip():
            return
        if not self._history or self._history[-1] != text:
            self._history = [*self._history[-_HISTORY_MAX + 1 :], text]
        self.put("")
        self.post_message(self.Submitted(text, self.room, pasted=pasted))

    def put(self, text: str) -> None:
        """Hold another text, the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)
        self._back, self._pasted, self._cycle = 0, False, None

    async def _on_paste(self, event: events.Paste) -> None:
        """A paste of several lines is one message, and no line of it is a command."""
        event.prevent_default()
        event.stop()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        self._pasted |= "\n" in text.rstrip("\n")
        self.insert(text.rstrip("\n") if not self.text else text)

    # --- history ---

    def action_cursor_up(self, select: bool = False) -> None:
        """Up; on the first row, back in the history."""
        if select or not self.cursor_at_first_line or self._back >= len(self._history):
            super().action_cursor_up(select)
            return
        if self._back == 0:
            self._kept = self.text
        self._recall(self._back + 1)

    def action_cursor_down(self, select: bool = False) -> None:
        """Down; on the last row, forward in the history."""
        if select or not self.cursor_at_last_line or self._back == 0:
            super().action_cursor_down(select)
            return
        self._recall(self._back - 1)

    def _recall(self, back: int) -> None:
        self.put(self._history[-back] if back else self._kept)
        self._back = back

    # --- killing and yanking, as readline does ---

    async def action_delete_to_end_of_line_or_delete_line(self) -> None:
        """Kill to the end of the line."""
        row, column = self.cursor_location
        self._killed = self.document[row][column:] or self._killed
        await super().action_delete_to_end_of_line_or_delete_line()

    def action_delete_to_start_of_line(self) -> None:
        """Kill to the start of the line."""
        row, column = self.cursor_location
        self._killed = self.document[row][:column] or self._killed
        super().action_delete_to_start_of_line()

    def action_yank(self) -> None:
        """Put what was killed last back in."""
        self.insert(self._killed)

    # --- keys that mean another thing where nothing is typed ---

    async def action_delete_or(self, action: str) -> None:
        """Delete to the right, or something else where nothing is typed."""
        if self.text:
            self.action_delete_right()
        else:
            await self.run_action(f"app.{action}")

    async def action_kill_or(self, action: str) -> None:
        """Kill to the end of the line, or something else where nothing is typed."""
        if self.text:
            await self.action_delete_to_end_of_line_or_delete_line()
        else:
            await self.run_action(f"app.{action}")

    async def action_undo_or(self, action: str) -> None:
        """Undo, or something else where nothing is typed."""
        if self.text:
            self.action_undo()
        else:
            await self.run_action(f"app.{action}")

    def action_cursor_page_up(self) -> None:
        """Scroll the room back."""
        self.post_message(self.Scrolled(-1))

    def action_cursor_page_down(self) -> None:
        """Scroll the room on."""
        self.post_message(self.Scrolled(1))

    # --- completion ---

    @property
    def before(self) -> str:
        """What stands before the cursor."""
        return self.get_text_range((0, 0), self.cursor_location)

    def _complete(self, step: int) -> None:
        """Complete what is typed, or go on to the next proposal."""
        if self._cycle is None:
            before = self.before
            completion = complete(before, self.scene)
            if not completion.choices:
                self.app.bell()
                return
            self._cycle = _Cycle(completion, -1 if step > 0 else 0, len(before))
        cycle = self._cycle
        cycle.number = (cycle.number + step) % len(cycle.completion.choices)
        choice = cycle.completion.choices[cycle.number]
        self.replace(choice, self._location(cycle.completion.start), self._location(cycle.end))
        cycle.end = cycle.completion.start + len(choice)
        self.move_cursor(self._location(cycle.end))
        self.post_message(self.Completing(cycle.completion.listed, cycle.number))
        if len(cycle.completion.choices) == 1:
            self._cycle = None

    def _location(self, index: int) -> tuple[int, int]:
        before = self.text[:index]
        return before.count("\n"), index - (before.rfind("\n") + 1)

    async def _on_key(self, event: events.Key) -> None:
        """Keys that must not overtake the text before them, as bindings of priority would.

        Any key but Tab settles what was proposed.
        """
        if event.key not in _COMPLETING and self._cycle is not None:
            self._cycle = None
            self.post_message(self.Completing((), 0))
        if event.key == "enter":
            self.action_submit()
        elif event.key in _NEW_LINE:
            self.insert("\n")
        elif event.key in _COMPLETING:
            self._complete(_COMPLETING[event.key])
        elif event.key.startswith("alt+"):
            await self._bound(event.key)  # Terminals name the character as well: it is not typed.
        elif event.is_printable or not await self._bound(event.key):
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()

    async def _bound(self, key: str) -> bool:
        """Carry out what is bound to a key before the next key is looked at; whether there is anything.

        Textual does so later, when keys that were typed behind it have become text already: Ctrl+U would take them
        away, and what was meant for another room would be said in this one.
        """
        return await self.app._check_bindings(key)  # noqa: SLF001  # There is no other way to do it in order.
