"""The window: a full-screen client for a terminal (docs/guide.md, "The window").

``rows`` and ``looks`` draw one line, ``book`` holds one room, ``desk`` asks the client and takes its news; the widgets
put that on the screen, and ``window`` is the program. Only this package imports Textual. All text that comes in here is
safe to show; none is ever read as markup.
"""
