-- Everything that a relay keeps, version 2. It can read none of the bodies: they are signed records, which are for all
-- members, and envelopes, parcels and attachments, which only members open. Times are in ms of the relay's clock.

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
    body    INTEGER CHECK ((body IS NOT NULL) = (kind = 1))
            REFERENCES bodies (number) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (room, s)
) STRICT, WITHOUT ROWID;

-- Rooms are found by their first event, and what retention drops by its body.
CREATE INDEX rooms ON events (room) WHERE s = 0;
CREATE INDEX events_by_body ON events (body) WHERE body IS NOT NULL;

-- The envelopes, in the order of their arrival. A row names no room, so that as many as can be share a page. What
-- retention or a moderator drops is deleted here and overwritten (secure_delete).
CREATE TABLE bodies (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    size    INTEGER NOT NULL CHECK (size = length(body)),
    body    BLOB    NOT NULL
) STRICT;

-- Retention reads this index: how much there is, and what is oldest.
CREATE INDEX bodies_by_age ON bodies (at, size);

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

-- Attachments, and their ciphertext in the pieces in which it came. What is dropped is overwritten here as well.
CREATE TABLE blobs (
    room     BLOB    NOT NULL CHECK (length(room) = 32),
    blob     BLOB    NOT NULL CHECK (length(blob) = 32),
    uploader BLOB    NOT NULL CHECK (length(uploader) = 32),
    size     INTEGER NOT NULL,
    have     INTEGER NOT NULL CHECK (have BETWEEN 0 AND size),  -- how much of it is here, from the start
    at       INTEGER NOT NULL,           -- when it was begun, or when it was complete
    PRIMARY KEY (room, blob)
) STRICT, WITHOUT ROWID;

CREATE TABLE pieces (
    room    BLOB    NOT NULL,
    blob    BLOB    NOT NULL,
    first   INTEGER NOT NULL,            -- where in the ciphertext it begins
    data    BLOB    NOT NULL,
    UNIQUE (room, blob, first),
    FOREIGN KEY (room, blob) REFERENCES blobs (room, blob)
) STRICT;
