"""The relay: carries what it cannot read, from the wire to its members and its store. Never imports the vault."""
