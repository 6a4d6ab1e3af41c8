"""Chaton: an end-to-end encrypted chat room of your own, over TLS.

``chaton.Client`` and ``chaton.Profile`` are the library; they are imported when they are first asked for.
"""

TYPE_CHECKING = False  # Type checkers know the name; importing typing for it would cost 5 ms.
if TYPE_CHECKING:
    from chaton.client.chatroom import ChatRoom
    from chaton.client.client import Client
    from chaton.client.profile import Profile

__version__ = "1.0.0"
__all__ = ["ChatRoom", "Client", "Profile", "__version__"]

_LAZY = {"ChatRoom": "chatroom", "Client": "client", "Profile": "profile"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'chaton' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - `chaton --help` must not pay for it.

    return getattr(import_module(f"chaton.client.{_LAZY[name]}"), name)
