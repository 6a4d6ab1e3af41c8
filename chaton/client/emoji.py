"""Emoji by their short names, such as ``:tada:``: the common ones, in a table of our own."""

import re
from typing import Final

_NAMED: Final = re.compile(r":([a-z0-9_+-]{1,20}):")

SHORTCODES: Final[dict[str, str]] = {
    "+1": "👍", "-1": "👎", "100": "💯", "angry": "😠", "apple": "🍎", "bee": "🐝", "beer": "🍺", "beers": "🍻",
    "bell": "🔔", "blush": "😊", "book": "📖", "boom": "💥", "broken_heart": "💔", "bug": "🐛", "bulb": "💡",
    "cake": "🍰", "calendar": "📅", "cat": "🐱", "check": "✅", "clap": "👏", "cloud": "☁️", "coffee": "☕",
    "computer": "💻", "confused": "😕", "construction": "🚧", "cool": "😎", "cry": "😢", "crying": "😭", "dart": "🎯",
    "disappointed": "😞", "dizzy": "💫", "dog": "🐶", "exclamation": "❗", "eyes": "👀", "facepalm": "🤦",
    "fire": "🔥", "fist": "✊", "flag": "🚩", "flushed": "😳", "gear": "⚙️", "ghost": "👻", "gift": "🎁",
    "globe": "🌍", "grimacing": "😬", "grin": "😁", "hammer": "🔨", "handshake": "🤝", "heart": "❤️",
    "heart_eyes": "😍", "hourglass": "⏳", "hug": "🤗", "joy": "😂", "key": "🔑", "kiss": "😘", "laughing": "😆",
    "link": "🔗", "lock": "🔒", "mag": "🔍", "mask": "😷", "memo": "📝", "metal": "🤘", "money": "💰", "moon": "🌙",
    "muscle": "💪", "mute": "🔇", "neutral": "😐", "no_entry": "⛔", "ok": "👌", "package": "📦", "partying": "🥳",
    "phone": "📞", "pin": "📌", "pizza": "🍕", "plug": "🔌", "point_down": "👇", "point_left": "👈",
    "point_right": "👉", "point_up": "👆", "poop": "💩", "pray": "🙏", "question": "❓", "rage": "😡", "rainbow": "🌈",
    "raised_hand": "✋", "recycle": "♻️", "relieved": "😌", "robot": "🤖", "rocket": "🚀", "rofl": "🤣", "rose": "🌹",
    "sad": "🙁", "salute": "🫡", "scissors": "✂️", "scream": "😱", "see_no_evil": "🙈", "seedling": "🌱",
    "ship": "🚢", "shrug": "🤷", "siren": "🚨", "skull": "💀", "sleeping": "😴", "slight_smile": "🙂", "smile": "😄",
    "smiley": "😃", "smirk": "😏", "snail": "🐌", "snowflake": "❄️", "sob": "😭", "sparkles": "✨", "speech": "💬",
    "star": "⭐", "stop": "🛑", "sun": "☀️", "sunglasses": "😎", "sushi": "🍣", "sweat": "😓", "sweat_smile": "😅",
    "taco": "🌮", "tada": "🎉", "tea": "🍵", "thinking": "🤔", "thread": "🧵", "thumbsdown": "👎", "thumbsup": "👍",
    "tools": "🛠️", "tree": "🌳", "trophy": "🏆", "umbrella": "☔", "unlock": "🔓", "upside_down": "🙃", "v": "✌️",
    "warning": "⚠️", "wave": "👋", "whale": "🐳", "wink": "😉", "wizard": "🧙", "wrench": "🔧", "x": "❌", "yum": "😋",
    "zap": "⚡", "zipper": "🤐", "zzz": "💤",
}  # fmt: skip


def beginning(name: str) -> list[str]:
    """The short names that begin so, the shortest first."""
    return sorted((one for one in SHORTCODES if one.startswith(name.lower())), key=lambda one: (len(one), one))


def replaced(text: str) -> str:
    """A text with its short names replaced; what is no short name stays as it is."""
    return _NAMED.sub(lambda match: SHORTCODES.get(match[1], match[0]), text)
