"""How long a client waits for what."""

from dataclasses import dataclass

from chaton.limits import (
    CONNECT_TIMEOUT_MS,
    PING_INTERVAL_MS,
    REQUEST_TIMEOUT_MS,
    RETRY_FIRST_MS,
    RETRY_MAX_MS,
    SECOND_MS,
    SILENCE_MS,
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Deadlines and intervals, in ms.

    Attributes:
        connect_ms: From dialling to the end of the TLS handshake.
        request_ms: From a request to its answer, reconnecting included.
        retry_first_ms: Before the first attempt to reconnect; doubled each time, up to ``retry_max_ms``.
        ping_ms: Between signs of life, ``silence_ms`` without one from the relay before the connection is given up.
        tick_ms: How often what is due by time alone is looked for.
        wipe_ms: How often erased keys are wiped from the profile's write-ahead log.
    """

    connect_ms: int = CONNECT_TIMEOUT_MS
    request_ms: int = REQUEST_TIMEOUT_MS
    retry_first_ms: int = RETRY_FIRST_MS
    retry_max_ms: int = RETRY_MAX_MS
    ping_ms: int = PING_INTERVAL_MS
    silence_ms: int = SILENCE_MS
    tick_ms: int = SECOND_MS
    wipe_ms: int = 60 * SECOND_MS
