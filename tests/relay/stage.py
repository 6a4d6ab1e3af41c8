"""A hub on a stage: a frame in, effects out, with a clock that stands still until it is moved."""

from itertools import count

from chaton.identity.ids import Nonce, Pin
from chaton.identity.statement import Seed
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.effects import Decision, Pages, Reply
from chaton.relay.hub.memory import Memory, Policy, Session
from chaton.room.envelope import message_id
from chaton.wire import frames
from tests.relay.play import NOW, Script, login_answer, peek_signature

PIN = Pin(b"p" * 32)


class FreeMeter:
    """Counts what is taken, and makes wait where a test says so."""

    def __init__(self):
        self.taken = []
        self.waits = {}

    def take(self, kind, session, amount, now):
        self.taken.append((kind, amount))
        return self.waits.get(kind, 0)

    def log_in(self, identity, now):
        return self.waits.get("log_in", 0)

    def take_daily(self, kind, session, now):
        self.taken.append((kind, 1))
        return self.waits.get(kind, 0)


class Stage:
    def __init__(self, **policy):
        self.meter = FreeMeter()
        self.memory = Memory(PIN, Policy(**policy), self.meter, NOW)
        self.hub = Hub(self.memory)
        self.now = NOW
        self.numbers = count(1)
        self.refs = count(100)

    def connect(self, *, local: bool = True) -> Session:
        number = next(self.numbers)
        return Session(number, "127.0.0.1", local, Nonce(number.to_bytes(32)))

    def play(self, session: Session, frame) -> Decision:
        return self.hub.handle(session, frame, self.now)

    def login(self, who: Seed, *, local: bool = True) -> Session:
        session = self.connect(local=local)
        decision = self.play(session, frames.Login(login_answer(who, PIN, session.nonce)))
        assert any(isinstance(frame, frames.LoggedIn) for frame in told(decision, session))
        return session

    def peek(self, session: Session, room: bytes, invite: Seed, *, nonce: bytes | None = None):
        cn = b"c" * 32
        signature = peek_signature(invite, PIN, nonce or session.nonce, cn, room)
        return self.ask(session, frames.Peek, room, invite.public, cn, signature)

    def ask(self, session: Session, kind: type, *fields):
        """The one frame that answers a request."""
        ref = next(self.refs)
        self.decision = self.play(session, kind(ref, *fields))
        answers = [frame for frame in told(self.decision, session) if getattr(frame, "ref", None) == ref]
        assert len(answers) == 1, self.decision
        return answers[0]

    def refusal(self, session: Session, kind: type, *fields) -> str:
        answer = self.ask(session, kind, *fields)
        assert isinstance(answer, frames.Refused), answer
        assert answer.detail.strip(), "a refusal says what to do next"
        assert not self.decision.writes
        return answer.code

    def create(self, session: Session, script: Script) -> None:
        answer = self.ask(session, frames.Create, script.genesis.raw)
        assert answer == frames.Accepted(answer.ref, 0, script.room)

    def submit(self, session: Session, script: Script, record) -> Decision:
        answer = self.ask(session, frames.Submit, script.room, record.raw)
        assert isinstance(answer, frames.Accepted), answer
        script.take(record)
        assert (answer.s, answer.transcript) == (script.history.s, script.history.last)
        return self.decision

    def send(self, session: Session, script: Script) -> bytes:
        envelope = script.message()
        answer = self.ask(session, frames.Send, script.room, envelope)
        assert isinstance(answer, frames.Accepted), answer
        script.history.add(message_id(envelope))
        assert (answer.s, answer.transcript) == (script.history.s, script.history.last)
        return envelope

    def room(self, owner: Seed, key: Seed, *members: Seed, **options) -> tuple[Script, list[Session]]:
        """A room with an invite and some members, all logged in; the owner first."""
        script = Script(owner, **options)
        sessions = [self.login(owner)]
        self.create(sessions[0], script)
        self.submit(sessions[0], script, script.invite(key))
        for member in members:
            session = self.login(member)
            self.submit(session, script, script.join(member, key))
            sessions.append(session)
        return script, sessions


def told(decision: Decision, session: Session) -> list:
    """Frames of a decision for one connection, at once or after the commit."""
    frames_told = []
    for effect in (*decision.now, *decision.then):
        if isinstance(effect, Reply) and effect.session == session.id:
            frames_told.append(effect.frame)
        elif isinstance(effect, Pages) and effect.session == session.id and isinstance(effect.frames, tuple):
            frames_told += effect.frames
    return frames_told


def effects(decision: Decision, kind: type) -> list:
    return [effect for effect in (*decision.now, *decision.then) if isinstance(effect, kind)]
