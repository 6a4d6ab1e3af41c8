"""A peer to compare with: everybody gets what anybody says, with the websockets library on uvloop.

Called as ``peer_websockets.py CERTIFICATE KEY``; prints ``listening on 127.0.0.1:PORT``.
"""

import asyncio
import ssl
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

_everybody: set[ServerConnection] = set()


async def _talk(connection: ServerConnection) -> None:
    _everybody.add(connection)
    try:
        async for message in connection:
            broadcast(_everybody, message)
    finally:
        _everybody.discard(connection)


async def _main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    async with serve(_talk, "127.0.0.1", 0, ssl=context, compression=None, backlog=1024) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"listening on 127.0.0.1:{port}", flush=True)
        await asyncio.get_running_loop().create_future()


uvloop.run(_main())
