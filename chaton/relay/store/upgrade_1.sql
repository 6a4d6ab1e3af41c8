-- Version 1 to version 2, after the tables of version 1 were renamed and those of schema.sql were made. The envelopes
-- move from rows of which each took a page of its own into rows that share pages.

CREATE TEMP TABLE numbers (
    number  INTEGER PRIMARY KEY,
    room    BLOB    NOT NULL,
    s       INTEGER NOT NULL,
    UNIQUE (room, s)
);

INSERT INTO numbers (room, s) SELECT room, s FROM old_bodies ORDER BY at, room, s;

INSERT INTO bodies
SELECT number, at, size, body FROM numbers JOIN old_bodies USING (room, s) ORDER BY number;

INSERT INTO events
SELECT room, s, kind, n, at, sender, inst, id, record, number FROM old_events LEFT JOIN numbers USING (room, s)
ORDER BY room, s;

INSERT INTO directs SELECT * FROM old_directs;
INSERT INTO bundles SELECT * FROM old_bundles;
INSERT INTO parcels SELECT * FROM old_parcels;

DROP TABLE numbers;
DROP TABLE old_bodies;
DROP TABLE old_events;
DROP TABLE old_directs;
DROP TABLE old_bundles;
DROP TABLE old_parcels;
