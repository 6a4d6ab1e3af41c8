"""Every number that bounds anything, with its unit in its name and its section of docs/protocol.md.

Times are in milliseconds, sizes in bytes. Limits that an operator may change are the defaults of
``chaton.relay.config``; everything here that carries a section number is part of Chaton/1 and fixed.
"""

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

UINT_MAX = 2**63 - 1  # SQLite's INTEGER; a larger u64 is refused where it is decoded from a frame.

# §2 The log
RECORDS_MAX = 10_000  # Record 10,000 can only be CLOSE.
MEMBERS_MAX = 1_000
INVITE_USES_MAX = 1_000
NICKS_MAX = 20  # NICK records that one membership may sign.
RECORD_BODY_MAX = 2_048
GENESIS_INFO_MAX = 512
NICK_INFO_MAX = 256
REASON_INFO_MAX = 256
ROOM_INFO_MAX = 1_024
RECORD_BYTES_MAX = 2_400  # Header 112, body length 2, body 2,048, two signatures 128: rounded up.
SUBMIT_ATTEMPTS_MAX = 5
TURN_MS = 2 * SECOND_MS

# §4 Bundles
BUNDLE_LIFE_MS = 14 * DAY_MS
BUNDLE_LIFE_GUEST_MS = DAY_MS
BUNDLE_AHEAD_MS = 10 * MINUTE_MS
BUNDLE_ROTATE_MS = HOUR_MS
BUNDLE_KEY_GRACE_MS = 10 * MINUTE_MS
BUNDLE_OF_STRANGER_MS = 10 * MINUTE_MS
CLOCK_SKEW_MAX_MS = 5 * MINUTE_MS

# §5 Parcels
PARCELS_PER_SENDER_MAX = 1_024  # per sender, recipient and room
PARCELS_PER_RECIPIENT_BYTES_MAX = 64 * 2**20
PARCEL_LIFE_MS = 14 * DAY_MS
NEED_INTERVAL_MS = MINUTE_MS

# §6 Chains
CHAIN_MESSAGES = 100  # indices 0..99 are sent
CHAIN_INDEX_MAX = 127  # the reader's bound
CHAIN_LIFE_MS = HOUR_MS
CHAINS_EARLY_MAX = 64  # kept per sender and room
EARLY_PER_ROOM_MAX = 2 * 1_024  # of all senders, who need not be members: their records may be still to come

# §7 Messages
PAD_MIN = 256
PAD_MAX = 64 * 2**10
ENVELOPE_BYTES_MAX = PAD_MAX + 285
SHOWN_AFTER_MS = MINUTE_MS  # An own message that the relay has taken and shows later than that is told.
HELD_PER_CHAIN_MAX = 64
HELD_PER_ROOM_MAX = 256
EMOJI_BYTES_MAX = 32
FILE_NAME_BYTES_MAX = 255
ALIVE_INTERVAL_MS = DAY_MS
ATTACHMENT_BYTES_MAX = 100 * 2**20  # of plaintext
SEALED_PIECE_BYTES = 2**16  # of plaintext in each sealed piece but the last
SEALED_PIECE_OVERHEAD = 16  # the tag of each
BLOB_BYTES_MAX = ATTACHMENT_BYTES_MAX + ATTACHMENT_BYTES_MAX // SEALED_PIECE_BYTES * SEALED_PIECE_OVERHEAD

# §8 Links and login
LINK_HOST_MAX = 253
INVITE_LIFE_MS = DAY_MS  # the default of `chaton invite`

# §9 Frames
FRAME_BYTES_MAX = 2**20
BATCH_MAX = 256  # identities, parcels or tokens in one frame
RECORDS_PER_FRAME_MAX = 256
DETAIL_CHARS_MAX = 300
PIECE_BYTES_MIN = 4_096  # of an attachment's ciphertext in one frame, but for the last piece
PIECE_BYTES_MAX = 256 * 2**10

# The relay
LOGIN_DEADLINE_MS = 10 * SECOND_MS
PING_INTERVAL_MS = 60 * SECOND_MS
SILENCE_MS = 150 * SECOND_MS

# The client
CONNECT_TIMEOUT_MS = 10 * SECOND_MS
REQUEST_TIMEOUT_MS = 30 * SECOND_MS
RETRY_FIRST_MS = 500
RETRY_MAX_MS = 30 * SECOND_MS
NICK_CHARS_MAX = 32
PLAINTEXT_HEADER_BYTES = 17  # kind, clock, counter: what precedes the body of every message
TEXT_BYTES_MAX = PAD_MAX - PLAINTEXT_HEADER_BYTES - 1  # one byte of padding at least
CAPTION_BYTES_MAX = TEXT_BYTES_MAX - 106 - FILE_NAME_BYTES_MAX  # what a file is and how it is called comes first
