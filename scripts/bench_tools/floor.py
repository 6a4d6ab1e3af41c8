"""The floor: what Python and OpenSSL cost when nothing is decided, checked, numbered or stored.

Cuts what comes in into length-prefixed frames, and gives all that came in one turn of the loop to everybody in one
write. A peer that does not read is not fed from anywhere: its bytes just wait.

Called as ``floor.py CERTIFICATE KEY``; prints ``listening on 127.0.0.1:PORT``.
"""

import selectors
import socket
import ssl
import sys

_READ_BYTES = 2**16
_WANT = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)
_buffer = bytearray(_READ_BYTES)
_view = memoryview(_buffer)


class Peer:
    """One connection: the beginning of a frame that has not come yet, and bytes that the network did not take."""

    __slots__ = ("rest", "shaken", "sock", "waiting")

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.shaken = False
        self.rest = b""
        self.waiting = b""

    def frames(self, count: int) -> bytes:
        """All whole frames that are complete with the last read."""
        data = self.rest + bytes(_view[:count])
        end = 0
        while len(data) - end >= 4:  # noqa: PLR2004 - the prefix
            length = int.from_bytes(data[end : end + 4])
            if len(data) - end - 4 < length:
                break
            end += 4 + length
        self.rest = data[end:]
        return data[:end]


class Floor:
    """The loop and everybody in it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.selector = selectors.DefaultSelector()
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.setblocking(False)
        self.listener = context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.peers: set[Peer] = set()

    def run(self) -> None:
        """Turn for ever."""
        print(f"listening on 127.0.0.1:{self.listener.getsockname()[1]}", flush=True)
        while True:
            gained: list[bytes] = []
            for key, events in self.selector.select():
                if key.data is None:
                    self.accept()
                elif not key.data.shaken:
                    self.shake(key.data)
                elif events & selectors.EVENT_READ:
                    self.read(key.data, gained)
                else:
                    self.send(key.data, b"")
            if gained:
                chunk = b"".join(gained)
                for peer in list(self.peers):
                    self.send(peer, chunk)

    def accept(self) -> None:
        """Take a connection in."""
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(sock)
        self.selector.register(sock, selectors.EVENT_READ, peer)
        self.shake(peer)

    def shake(self, peer: Peer) -> None:
        """Go on with the handshake."""
        try:
            peer.sock.do_handshake()
        except _WANT:
            return
        except OSError:
            self.drop(peer)
            return
        peer.shaken = True
        self.peers.add(peer)

    def read(self, peer: Peer, gained: list[bytes]) -> None:
        """Read what has come."""
        try:
            count = peer.sock.recv_into(_buffer)
        except _WANT:
            return
        except OSError:
            count = 0
        if count:
            gained.append(peer.frames(count))
        else:
            self.drop(peer)

    def send(self, peer: Peer, chunk: bytes) -> None:
        """Send what waits and what is new."""
        data = peer.waiting + chunk if peer.waiting else chunk
        try:
            count = peer.sock.send(data)
        except _WANT:
            count = 0
        except OSError:
            self.drop(peer)
            return
        if bool(peer.waiting) != (count < len(data)):
            write = 0 if peer.waiting else selectors.EVENT_WRITE
            self.selector.modify(peer.sock, selectors.EVENT_READ | write, peer)
        peer.waiting = data[count:]

    def drop(self, peer: Peer) -> None:
        """End a connection."""
        self.peers.discard(peer)
        self.selector.unregister(peer.sock)
        peer.sock.close()


def main() -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    Floor(context).run()


if __name__ == "__main__":
    main()
