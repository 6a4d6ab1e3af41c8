-- Everything that a relay keeps, version 1. It can read none of the bodies: they are signed records, which are for all
-- members, and envelopes and parcels, which only members open. Times are in ms of the relay's clock.

-- One row an event, without the bodies of messages, so that a relay that starts reads little of a large room.
CREATE TABLE events (
    room    BLOB    NOT NULL CHECK (length(room) = 32),
    s       INTEGER NOT NULL,            -- the event's number in its room
    kind    INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),  -- a record, a message, a message whose body is gone
    n       INTEGER NOT NULL,            -- the record's number, -1 for a message
    at      INTEGER NOT NULL,            -- when the relay took it
    sender  BLOB    NOT NULL CHECK (length(sender) = 32),
    inst    BLOB    NOT NULL CHECK (length(inst) = 32),
    id      BLOB    NOT NULL CHECK (length(id) = 32),    -- the head after a record, or the message's id
    record  BLOB CHECK ((record IS NOT NULL) = (kind = 0)),
    PRIMARY KEY (room, s)
) STRICT, WITHOUT ROWID;

-- Rooms are found by their first event.
CREATE INDEX rooms ON events (room) WHERE s = 0;

-- The envelopes. What retention or a moderator drops is deleted here and overwritten (secure_delete).
CREATE TABLE bodies (
    room    BLOB    NOT NULL,
    s       INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    size    INTEGER NOT NULL CHECK (size = length(body)),
    body    BLOB    NOT NULL,
    PRIMARY KEY (room, s),
    FOREIGN KEY (room, s) REFERENCES events (room, s)
) STRICT, WITHOUT ROWID;

-- Retention reads this index alone: how much there is, and what is oldest.
CREATE INDEX bodies_by_age ON bodies (at, room, s, size);

-- Direct rooms have no event 0 that would say whose they are.
CREATE TABLE directs (
    room    BLOB    NOT NULL PRIMARY KEY CHECK (length(room) = 32),
    one     BLOB    NOT NULL CHECK (length(one) = 32),
    other   BLOB    NOT NULL CHECK (length(other) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE bundles (
    identity  BLOB    NOT NULL PRIMARY KEY CHECK (length(identity) = 32),
    bundle_id BLOB    NOT NULL CHECK (length(bundle_id) = 32),
    raw       BLOB    NOT NULL,
    counter   INTEGER NOT NULL,
    until     INTEGER NOT NULL           -- when a non-member's is forgotten; 0 for a member's
) STRICT;

-- Parcels that wait for their recipient.
CREATE TABLE parcels (
    token     INTEGER PRIMARY KEY,
    recipient BLOB    NOT NULL CHECK (length(recipient) = 32),
    sender    BLOB    NOT NULL CHECK (length(sender) = 32),
    room      BLOB    NOT NULL CHECK (length(room) = 32),
    at        INTEGER NOT NULL,
    raw       BLOB    NOT NULL
) STRICT;

CREATE INDEX parcels_by_recipient ON parcels (recipient);
