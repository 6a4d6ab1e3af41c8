"""The load generator where C cannot be compiled: load/load.c in Python, with a process for each core but one.

Takes the same KEY=VALUE arguments and prints the same JSON object. It costs several times what the one in C does, so
it may itself be what limits throughput; its share of a core, summed over its processes, is in what it prints.
"""

import json
import multiprocessing
import os
import resource
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from spoken import LIVE, LOGGED_IN, PROTOCOLS, Bare, Membership, Sizes

from chaton.identity.ids import Head, Pin, RoomId, Transcript
from chaton.identity.statement import Seed

_WANT = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_READ_BYTES = 2**16
_PATIENCE_S = 30
_DEFAULTS = {
    "connections": "100", "senders": "0", "window": "0", "rate": "0", "payload": "600", "envelope": "541",
    "warm": "0.5", "seconds": "2", "idle": "0", "pin": "", "members": "",
}  # fmt: skip


@dataclass(eq=False)
class Peer:
    """One connection."""

    index: int
    sock: ssl.SSLSocket
    spoken: Bare
    waiting: bytes = b""
    outstanding: int = 0
    seq: int = 0

    def say(self, data: bytes) -> None:
        """Send, or keep what the network does not take for the next turn."""
        self.waiting += data
        try:
            self.waiting = self.waiting[self.sock.send(self.waiting) :]
        except _WANT:
            return

    def send_message(self) -> None:
        """The next one, stamped with the time."""
        stamp = time.monotonic_ns().to_bytes(8) + self.index.to_bytes(4) + self.seq.to_bytes(4)
        self.seq += 1
        self.outstanding += 1
        self.say(self.spoken.message(stamp))


@dataclass
class Worker:
    """One process and its share of the connections."""

    given: dict[str, str]
    shares: Sequence[int]
    peers: list[Peer] = field(default_factory=list)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    latencies: list[int] = field(default_factory=list)
    arrived: int = 0
    counting: bool = False
    sending: bool = False

    def connect(self) -> None:
        """All handshakes and logins, one after the other."""
        kind = PROTOCOLS[self.given["protocol"]]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if kind.ALPN:
            context.set_alpn_protocols(list(kind.ALPN))
        members = _read_members(self.given)
        sizes = Sizes(int(self.given["payload"]), int(self.given["envelope"]))
        for index in self.shares:
            sock = socket.create_connection(("127.0.0.1", int(self.given["port"])), _PATIENCE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while kind.GREETS_IN_CLEAR and sock.recv(1) != b"\n":
                pass
            peer = Peer(index, context.wrap_socket(sock), kind(sizes, members[index] if members else None))
            peer.sock.setblocking(False)
            self.peers.append(peer)
            self.selector.register(peer.sock, selectors.EVENT_READ, peer)
            self.hear(peer, peer.spoken.log_in())
            self.turn_until(lambda peer=peer: peer.spoken.state == LOGGED_IN)

    def follow(self) -> None:
        """Everybody asks for the messages."""
        for peer in self.peers:
            self.hear(peer, peer.spoken.follow())
            self.turn_until(lambda peer=peer: peer.spoken.state == LIVE)

    def hear(self, peer: Peer, told: Any) -> None:
        """What was reached, what is to be said, what was delivered."""
        for one in told:
            if isinstance(one, str):
                peer.spoken.state = one
            elif isinstance(one, bytes):
                peer.say(one)
            else:
                self.arrived += 1
                if self.counting:
                    self.latencies.append(time.monotonic_ns() - int.from_bytes(one[:8]))
                if int.from_bytes(one[8:12]) == peer.index:
                    peer.outstanding -= 1

    def turn(self, timeout: float) -> None:
        """Read what there is, keep the windows full."""
        for key, _ in self.selector.select(timeout):
            peer: Peer = key.data
            try:
                while data := peer.sock.recv(_READ_BYTES):
                    self.hear(peer, peer.spoken.take(data))
            except _WANT:
                pass
            else:
                raise RuntimeError(f"the server closed connection {peer.index}")
            self.fill(peer)
            if peer.waiting:
                peer.say(b"")

    def fill(self, peer: Peer) -> None:
        """Keep as many messages under way as wanted."""
        while self.sending and _is_sender(peer.index, self.given) and peer.outstanding < int(self.given["window"]):
            peer.send_message()

    def turn_until(self, holds: Any) -> None:
        """Turn until something holds."""
        end = time.monotonic() + _PATIENCE_S
        while not holds():
            if time.monotonic() > end:
                raise RuntimeError("not all connections got in")
            self.turn(0.1)

    def turn_for(self, seconds: float) -> None:
        """Turn for a while, sending by the clock where a rate is given."""
        end, rate = time.monotonic() + seconds, float(self.given["rate"])
        mine = [peer for peer in self.peers if _is_sender(peer.index, self.given)]
        gap = int(self.given["senders"]) / rate if rate and mine else 0.0
        due = [time.monotonic() + gap * (place + 1) / len(mine) for place in range(len(mine))] if gap else []
        while (now := time.monotonic()) < end:
            for place, peer in enumerate(mine if gap and self.sending else ()):
                if due[place] <= now:
                    due[place] += gap
                    peer.send_message()
            self.turn(min([end, *due]) - now if due and self.sending else min(end - now, 0.1))

    def run(self, pipe: Connection) -> None:
        """Do what the parent says, and tell when it is done."""
        acts = {"connect": self.connect, "follow": self.follow, "begin": self.begin, "end": self.end}
        while (said := pipe.recv()) != "stop":
            before = time.process_time_ns()
            if isinstance(said, str):
                acts[said]()
            else:
                self.turn_for(said)
            pipe.send((time.process_time_ns() - before, self.latencies, self.arrived, sum(p.seq for p in self.peers)))
            self.latencies = []

    def begin(self) -> None:
        """Fill the windows for the first time."""
        self.sending = True
        for peer in self.peers:
            self.fill(peer)
        self.turn_for(float(self.given["warm"]))
        self.counting = True

    def end(self) -> None:
        """Send no more, and wait for what is under way."""
        self.sending = self.counting = False
        self.turn_for(1.0)


def _is_sender(index: int, given: dict[str, str]) -> bool:
    step = int(given["talkers"]) // max(1, int(given["senders"]))
    return index < int(given["talkers"]) and index % step == 0 and index // step < int(given["senders"])


def _read_members(given: dict[str, str]) -> list[Membership]:
    if not given["members"]:
        return []
    lines = Path(given["members"]).read_text(encoding="ascii").splitlines()
    count = int(lines[0])
    members = []
    for line in lines[1 + count :]:
        seed, number = line.split()
        room, head, transcript, n, s = lines[1 + int(number)].split()
        members.append(
            Membership(
                Pin.from_hex(given["pin"]), Seed(bytes.fromhex(seed)), RoomId.from_hex(room), Head.from_hex(head),
                int(n), int(s), Transcript.from_hex(transcript),
            )
        )  # fmt: skip
    return members


def _work(given: dict[str, str], shares: Sequence[int], pipe: Connection) -> None:
    Worker(given, shares).run(pipe)


class Team:
    """All workers, and the clock of the server."""

    def __init__(self, given: dict[str, str]) -> None:
        self._pid = int(given["pid"])
        self._pipes = []
        count, connections = max(1, (os.cpu_count() or 2) - 1), int(given["connections"])
        for number in range(count):
            ours, theirs = multiprocessing.Pipe()
            shares = range(number, connections, count)
            multiprocessing.Process(target=_work, args=(given, shares, theirs), daemon=True).start()
            theirs.close()
            self._pipes.append(ours)

    def do(self, act: str | float) -> tuple[float, float, list[list[Any]]]:
        """Let all do something: seconds of the server's processor, seconds of the clock, what each one says."""
        cpu, began = self._cpu(), time.monotonic()
        for pipe in self._pipes:
            pipe.send(act)
        said = [pipe.recv() for pipe in self._pipes]
        return self._cpu() - cpu, time.monotonic() - began, said

    def _cpu(self) -> float:
        """Of all threads, dead ones too: Linux makes the number of a process's clock from its id like this."""
        return time.clock_gettime((~self._pid << 3) | 2)

    def kb(self) -> int:
        """Memory of the server."""
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0])


def _percentile_ms(latencies: list[int], share: float) -> float:
    return latencies[int(len(latencies) * share)] / 1e6 if latencies else 0.0


def main() -> None:
    """One measurement."""
    given = _DEFAULTS | dict(argument.split("=", 1) for argument in sys.argv[1:])
    members = _read_members(given)
    # All rooms but the first are silent; its members come first.
    given["talkers"] = str(sum(member.room == members[0].room for member in members) or given["connections"])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    team, connections = Team(given), int(given["connections"])
    kb = team.kb()
    result: dict[str, Any] = {"connections": connections, "login_us": team.do("connect")[0] / connections * 1e6}
    result["follow_us"] = team.do("follow")[0] / connections * 1e6
    team.do(0.3 + float(given["idle"]))
    result["kb_each"] = (team.kb() - kb) / connections
    if int(given["senders"]):
        team.do("begin")
        cpu, took, said = team.do(float(given["seconds"]))
        _, _, last = team.do("end")
        latencies = sorted(latency for one in said for latency in one[1])
        sent, arrived = sum(one[3] for one in last), sum(one[2] for one in last)
        result |= {
            "seconds": took, "deliveries": len(latencies), "cpu_us": cpu / max(1, len(latencies)) * 1e6,
            "server_share": cpu / took, "own_share": sum(one[0] for one in said) / 1e9 / took,
            "p50_ms": _percentile_ms(latencies, 0.5), "p99_ms": _percentile_ms(latencies, 0.99),
            "sent": sent, "lost": sent * int(given["talkers"]) - arrived,
        }  # fmt: skip
    print(json.dumps(result | {"rss_kb": team.kb()}))


if __name__ == "__main__":
    main()
