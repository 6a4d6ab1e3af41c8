"""The relay: it orders, stores and carries what it cannot read.

Knows identities, records, envelopes' outsides and sockets. Never imports the vault, the session, the client or a
window: a test proves it.
"""
