"""A lasting client in a process of its own, which holds its profile until its input ends."""

import asyncio
import sys

from chaton.client.client import Client
from tests.client.conftest import QUICK


async def hold(directory: str) -> None:
    async with Client(directory, timing=QUICK):
        sys.stdout.write("open\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(hold(sys.argv[1]))
