"""What a room is: records, the fold over them, transcript, envelopes, names, links. Shared by relay and client.

Knows the rules of a room and judges bytes by them. Never imports the vault: nothing here opens what is sealed.
"""
