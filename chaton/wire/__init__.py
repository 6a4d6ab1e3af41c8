"""Bytes to frames and back: a length prefix, one struct a frame, a strict decoder.

Knows nothing of rooms, keys or sockets. Never imports anything of Chaton but limits and errors.
"""
