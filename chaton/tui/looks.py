"""How things look: two restrained themes, and the styles of a line made from whichever theme is on."""

import os
from dataclasses import dataclass
from typing import Final

from rich.color import Color
from rich.style import Style
from textual.theme import Theme

DARK: Final = Theme(
    name="chaton-dark",
    primary="#7aa2d6",
    secondary="#8fb8a8",
    accent="#e0b36a",
    warning="#e0b36a",
    error="#e5787a",
    success="#8fbf7f",
    foreground="#d6d9df",
    background="#14161a",
    surface="#1a1d22",
    panel="#20242a",
    dark=True,
    variables={"footer-background": "#1a1d22", "input-selection-background": "#7aa2d6 30%"},
)
LIGHT: Final = Theme(
    name="chaton-light",
    primary="#2f5f9e",
    secondary="#2f6f5a",
    accent="#8a5a00",
    warning="#8a5a00",
    error="#b3262a",
    success="#2f6b2f",
    foreground="#23262b",
    background="#fbfaf7",
    surface="#f2f0ea",
    panel="#e8e5dd",
    dark=False,
    variables={"footer-background": "#f2f0ea", "input-selection-background": "#2f5f9e 25%"},
)
# Twelve hues each, of like lightness, that stay apart on their background and from red, which means danger.
_ON_DARK: Final = (
    "#7fb4e6", "#8fcf9f", "#d9b86f", "#c39be0", "#6fc7c3", "#e09a7a", "#a9b7f0", "#b5cf6f", "#e39cc4", "#7fd0a8",
    "#cfae8f", "#9fc4d9",
)  # fmt: skip
_ON_LIGHT: Final = (
    "#1f5f9f", "#23703a", "#7a5600", "#6f3f9f", "#0f6f6a", "#9a4a1f", "#3f4fae", "#556b00", "#97326f", "#1f6f4f",
    "#6f5233", "#33637f",
)  # fmt: skip
_LIGHT_BACKGROUNDS: Final = {"7", "15"}


def first_theme() -> str:
    """The theme to begin with: by CHATON_THEME, else by what the terminal says of its background."""
    wish = os.environ.get("CHATON_THEME", "")
    if wish in {"light", "dark"}:
        return f"chaton-{wish}"
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT.name if background in _LIGHT_BACKGROUNDS else DARK.name


@dataclass(frozen=True, slots=True)
class Look:
    """The styles that a line is made of. No meaning is carried by a colour alone."""

    text: Style
    dim: Style
    strong: Style
    good: Style
    warning: Style
    bad: Style
    named: Style
    found: Style
    chosen: Style
    rule: Style
    nicks: tuple[Style, ...]

    @classmethod
    def of(cls, theme: Theme, *, colours: bool = True) -> "Look":
        """The styles under a theme; without colours, only bold, dim and reverse are left."""
        if not colours:
            plain, bold = Style(), Style(bold=True)
            dim, back = Style(dim=True), Style(reverse=True)
            found, alarm = Style(underline=True), Style(bold=True, reverse=True)
            return cls(plain, dim, bold, bold, bold, alarm, bold, found, back, dim, (bold,))
        nicks = _ON_DARK if theme.dark else _ON_LIGHT
        faint = "#7d838e" if theme.dark else "#77736a"
        return cls(
            text=Style(color=theme.foreground),
            dim=Style(color=faint),
            strong=Style(color=theme.foreground, bold=True),
            good=Style(color=theme.success),
            warning=Style(color=theme.warning),
            bad=Style(color=theme.error, bold=True),
            named=Style(color=theme.accent, bold=True),
            found=Style(color=theme.accent, underline=True),
            chosen=Style(bgcolor="#31405a" if theme.dark else "#cfdcf2"),
            rule=Style(color=_between(theme)),
            nicks=tuple(Style(color=one, bold=True) for one in nicks),
        )

    def nick(self, identity: str) -> Style:
        """The style of somebody's nick, by the key: a nick that others take has another colour."""
        return self.nicks[int(identity[:8], 16) % len(self.nicks)] if identity else self.strong

    def tone(self, tone: str) -> Style:
        """The style of a note."""
        return {"good": self.good, "warning": self.warning, "bad": self.bad}.get(tone, self.dim)


def _between(theme: Theme) -> Color:
    """A colour for rules: nearer to the background than to the text."""
    return Color.parse("#3a3f47" if theme.dark else "#cfcabf")
