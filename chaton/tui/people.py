"""Everything about one person, and about one message."""

from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from chaton.client.replies import LineFacts, MemberFacts
from chaton.client.words import nick, size_text
from chaton.tui.looks import Look
from chaton.tui.rows import moment
from chaton.tui.screens import Panel, frame_css, qr_rows

_QR_FROM: Final = (92, 22)  # Columns and rows from which the code fits beside the digits, which are never cut.


class MemberPanel(Panel[bool]):
    """Who somebody is: role, key, by whose invite, and the code to compare, as digits and as a QR code."""

    DEFAULT_CSS = (
        frame_css("MemberPanel")
        + "MemberPanel #qr { width: auto; margin-right: 3; background: #ffffff; color: #000000; }"
        + "MemberPanel #facts { width: 1fr; }"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(False)", show=False),
        Binding("v", "dismiss(True)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
    ]

    def __init__(self, member: MemberFacts, look: Look) -> None:
        super().__init__()
        self._member = member
        self._look = look

    def compose(self) -> ComposeResult:
        """The facts, and the code beside them."""
        with Vertical() as frame:
            frame.border_title = Text(nick(self._member.nick))  # A plain string would be read as markup.
            frame.border_subtitle = "v: codes are equal · Esc closes" if self._member.code else "Esc closes"
            with VerticalScroll(can_focus=False), Horizontal():
                if self._member.code and self.app.size.width >= _QR_FROM[0] and self.app.size.height >= _QR_FROM[1]:
                    yield Static(Text("\n".join(qr_rows(self._member.code)), no_wrap=True), id="qr")
                yield Static(self._facts(), id="facts")

    def action_scroll(self, rows: int) -> None:
        """Read on, or back."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    def _facts(self) -> Text:
        one, look = self._member, self._look
        marks = {"online": one.online, "muted": one.muted, "bot": one.bot, "guest": one.guest, "ignored": one.ignored}
        text = Text.assemble((one.nick, look.nick(one.identity)), "\n")
        text.append(", ".join([one.role, *(word for word, is_so in marks.items() if is_so)]) + "\n")
        text.append(f"invited by {one.invited_by}\n" if one.invited_by else "")
        text.append("\nkey (who this really is)\n", look.dim).append(_grouped(one.identity) + "\n")
        if one.code:
            state = ("compared: the key is theirs", look.good) if one.compared else ("not compared yet", look.warning)
            text.append("\nsafety code, the same on both sides\n", look.dim).append(one.code, look.strong).append("\n")
            text.append_text(Text.assemble(state))
            text.append("\n\nCompare it over another channel, such as a call.", look.dim)
        return text


def _grouped(identity: str) -> str:
    """A key in groups of eight, four a row."""
    groups = [identity[start : start + 8] for start in range(0, len(identity), 8)]
    return "\n".join(" ".join(groups[start : start + 4]) for start in range(0, len(groups), 4))


def line_facts_text(line: LineFacts) -> Text:
    """Everything about one message."""
    facts = {
        "number": f"#{line.seq}",
        "time": f"{moment(line.at):%Y-%m-%d %H:%M:%S}, by the relay's clock",
        "from": f"{line.sender}\n{_grouped(line.identity)}",
        "kind": line.kind + (", edited" if line.edited else ""),
        "file": f"{line.file}, {size_text(line.file_size)}" if line.file else "",
        "reactions": "\n".join(f"{one.emoji} {', '.join(one.nicks)}" for one in line.reactions),
        "id": line.id,
    }
    text = Text()
    for name, value in facts.items():
        if value:
            text.append(f"{name:>10}  ", "dim").append(value.replace("\n", "\n" + " " * 12) + "\n")
    return text
