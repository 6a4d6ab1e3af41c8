-- The encrypted profile, version 1. Everything in it is sealed under the profile's key.

-- What sessions remember: see chaton/session/memory.py. Relays are apart: one person has other keys on each, and
-- meets others under keys that do not concern the rest.
CREATE TABLE entry (
    relay BLOB NOT NULL,  -- the pin of the relay's key
    kind TEXT NOT NULL,
    place BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (relay, kind, place)
) STRICT, WITHOUT ROWID;

-- The seed of the identity, drafts, and the like.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
