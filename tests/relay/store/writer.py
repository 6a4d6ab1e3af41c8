"""Not a test: a process that commits groups and says so, one number a line, until it is killed or refused."""

import sys
from itertools import count
from pathlib import Path

from chaton.relay.store.sqlite import SqliteStore

from .rows import message, parcel

if __name__ == "__main__":
    store = SqliteStore(Path(sys.argv[1]))
    for s in count(1):
        store.commit([message(s, body=bytes(600)), parcel(s, "bob")])
        sys.stdout.write(f"{s}\n")
        sys.stdout.flush()
