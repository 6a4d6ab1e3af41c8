"""The relay's decisions, with no socket, clock, thread or disk in them.

A frame of a peer and the time go in; a ``Decision`` comes out: what to write to the store, and what to tell to whom
once that is durable. Decisions are made in the order of arrival, on memory that runs ahead of the disk.

::

    decide.Hub        one frame, one decision: the table of handlers, time passing, connections coming and going
      access          who connects: Login, Peek, presence
      log             the rooms' logs: Create, Submit, Turn, Log
      talk            what is said: Send, Follow, Unfollow, Direct
      keys            bundles and parcels
      blobs           attachments
    memory.Memory     everything that is known: rooms, bundles, who waits for what, who is connected
      room.Room       one room after its last event       turns.Turns     who may sign next
      mailbox.Mailbox what waits for one recipient    depot.Depot      which attachments there are
    effects           the words of a decision             refusals        the words of a refusal
"""
