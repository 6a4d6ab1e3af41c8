"""One person's brain, without I/O: frames, requests and the time go in; frames, things to keep and notices come out.

Knows every rule of the protocol from a member's side. Never imports the client, a window, a socket or a clock.
"""
