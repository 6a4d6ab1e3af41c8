"""Real processes: each test runs ``python -m chaton`` as a person would, against a relay of its own worker."""

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "chaton"]
PATIENCE_S = 30


def environment(**more):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHATON_", "CLICOLOR", "NO_COLOR"))
    }
    return clean | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "LANG": "C.UTF-8", **more}


def run(*args, input=None, cwd=None, **env):  # noqa: A002  # As subprocess.run calls it.
    """Run a command to its end. ``input`` is text or bytes; without one its standard input is empty."""
    data = input.encode() if isinstance(input, str) else input or b""
    done = subprocess.run(
        [*COMMAND, *map(str, args)],
        input=data,
        capture_output=True,
        timeout=PATIENCE_S,
        env=environment(**env),
        cwd=cwd,
        check=False,
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def ok(*args, **more):
    done = run(*args, **more)
    assert done.returncode == 0, (args, done)
    return done.stdout


class Person:
    """Somebody with a profile."""

    def __init__(self, profile):
        self.profile = profile

    def run(self, *args, **more):
        return run("--profile", self.profile, *args, **more)

    def ok(self, *args, **more):
        done = self.run(*args, **more)
        assert done.returncode == 0, (args, done)
        return done.stdout

    def events(self, *args, **more):
        return [json.loads(line) for line in self.ok(*args, **more).splitlines()]

    def join(self, link, nick):
        events = self.events("join", "-", "--nick", nick, "--json", input=link)
        assert events[0]["event"] == "joined"
        return events[0]["identity"]

    def start(self, *args, **more):
        return Program(["--profile", str(self.profile), *args], **more)


class Program:
    """A program that stays: lines in, lines out."""

    def __init__(self, args, cwd=None, **env):
        self.process = subprocess.Popen(
            [*COMMAND, *args],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**env),
        )
        self._rest = b""

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def line(self):
        """The next line of standard output."""
        end = time.monotonic() + PATIENCE_S
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert ready, f"nothing came; so far: {self._rest!r}"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"the program ended: {self.process.stderr.read().decode()}"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def event(self, name, **wanted):
        """The next JSON event of that name that has these values."""
        while True:
            event = json.loads(self.line())
            if event["event"] == name and wanted.items() <= event.items():
                return event

    def end(self):
        """End its input and wait: the exit code and what was still printed."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        self.process.stdout = None
        return self.process.returncode, (self._rest + out).decode(), err.decode()

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class Relay:
    """A relay process."""

    def __init__(self, *options):
        self.program = Program(["serve", *map(str, options)])
        self.first_line = self.program.line()
        found = re.fullmatch(r"listening on (\S+:\d+) pin ([0-9a-f]{64})", self.first_line)
        self.address, self.pin = found[1], found[2]


@pytest.fixture(scope="session")
def relay(tmp_path_factory):
    """One relay for all tests of a worker."""
    data = tmp_path_factory.mktemp("relay")
    made = Relay("--listen", "127.0.0.1:0", "--data", data, "--memory")
    yield made
    made.program.close()


@pytest.fixture
def person(tmp_path):
    """Makes somebody with a profile of their own, which is not there yet."""
    return lambda name: Person(tmp_path / name)


@pytest.fixture
def started():
    """Collects programs, and ends them after the test."""
    programs = []
    yield lambda program: programs.append(program) or program
    for program in programs:
        program.close()


@pytest.fixture
def room(relay, person):
    """Alice, who owns the room "ops", and what makes a link to it."""
    alice = person("alice")
    alice.room = alice.ok("room", "new", "ops", "--relay", relay.address, "--pin", relay.pin, "--nick", "alice").strip()
    alice.link = lambda *options: alice.ok("invite", "ops", *options).strip()
    return alice


def until(holds):
    """Wait for what another process is about to do."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        select.select([], [], [], 0.02)
