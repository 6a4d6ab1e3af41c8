"""How a command gets at a profile: by itself, or through the process that has it open."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, Protocol

from chaton.client import control
from chaton.client import profile as profiles
from chaton.client.client import Client, open_or_create
from chaton.client.news import AnyNotice
from chaton.client.profile import Profile
from chaton.client.replies import AnyReply
from chaton.client.requests import AnyRequest
from chaton.client.timing import Timing

LOCK_PATIENCE_S: Final = 10  # Another command may have the profile for a moment.
_LOOK_AGAIN_S: Final = 0.05


class Backend(Protocol):
    """What carries requests out."""

    async def perform(self, request: AnyRequest) -> AnyReply:
        """Carry out one request; raises as ``chaton.client.perform``."""
        ...

    def notices(self) -> AsyncIterator[AnyNotice]:
        """What happens in all rooms from when ``open_backend`` was entered, or from the last call on."""
        ...


class _Remote:
    """The process that has the profile open."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def perform(self, request: AnyRequest) -> AnyReply:
        return await control.ask(self._directory, request)

    async def notices(self) -> AsyncIterator[AnyNotice]:
        async with control.follow(self._directory) as told:
            async for notice in told:
                yield notice


@contextlib.asynccontextmanager
async def open_backend(
    directory: Path | None = None,
    *,
    ask: Callable[[], str] | None = None,
    create: bool = False,
    lasting: bool = False,
    timing: Timing | None = None,
) -> AsyncIterator[Backend]:
    """What carries out requests for a profile, as an asynchronous context manager.

    Args:
        directory: The profile's; None for the default one.
        ask: Asks a person for the passphrase; None where nobody is there.
        create: Make the profile if there is none.
        lasting: Whether the caller stays; see ``Client``.
        timing: Other deadlines, for tests.

    Raises:
        ProfileLocked: Another process has the profile and does not take requests, or nobody gives the passphrase.
        ProfileError: There is no profile, or it cannot be opened.
    """
    directory = directory or profiles.default_directory()
    profile = await _profile_or_holder(directory, ask, create=create)
    if profile is None:
        yield _Remote(directory)
        return
    with profile:
        async with Client(profile, lasting=lasting, timing=timing) as client:
            yield client


async def _profile_or_holder(directory: Path, ask: Callable[[], str] | None, *, create: bool) -> Profile | None:
    """The profile, or None if another process has it and answers for it; waits for one that is about to end."""
    give_up = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return open_or_create(directory, ask) if create else Profile.open(directory, ask=ask)
        except profiles.ProfileInUse:
            if await control.is_served(directory):
                return None
            if time.monotonic() >= give_up:
                raise
        await asyncio.sleep(_LOOK_AGAIN_S)
