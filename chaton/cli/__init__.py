"""The command line: arguments in, lines out, exit codes.

``main`` is the entry and knows each command by name only; a command's module, and with it every library but click, is
imported when the command runs.
"""
