"""The public half of cryptography: fixed-length identifiers, hashes, signed statements, safety codes.

Knows what is signed and hashed, and under which label. Never imports the vault: nothing here opens anything.
"""
