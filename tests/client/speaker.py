"""A client in a process of its own, to be killed: says numbered lines and prints each number once it was taken."""

import asyncio
import sys

from chaton.client.client import Client
from tests.client.conftest import QUICK


async def speak(directory: str) -> None:
    async with Client(directory, timing=QUICK) as client:
        room = await client.open("garden")
        for number in range(100_000):
            room.say(f"line {number}", number)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(speak(sys.argv[1]))
