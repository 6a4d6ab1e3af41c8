"""The asynchronous library: connections, the encrypted profile, and a session's effects carried out.

Knows sockets, files and the clock. Never imports a window or the command line.
"""
