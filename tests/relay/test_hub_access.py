"""Login, Peek, presence: who may talk to the hub at all."""

from chaton.limits import DAY_MS, DETAIL_CHARS_MAX
from chaton.relay.hub.effects import Close, Hint, Pages, PushWaiting
from chaton.relay.hub.memory import PEEKS_MAX
from chaton.relay.hub.refusals import SENTENCES
from chaton.wire import frames
from tests.relay.play import NOW, Script, identity, login_answer, seed
from tests.relay.stage import PIN, Stage, effects, told

OWNER, ANN, BEN, KEY = seed(1), seed(2), seed(3), seed(9)


def test_every_refusal_says_what_to_do_within_a_frame():
    assert all(0 < len(sentence) <= DETAIL_CHARS_MAX for sentence in SENTENCES.values())
    assert all(len(code) <= 40 for code in SENTENCES)


def test_login_lists_rooms_and_directs_then_pushes_what_waits():
    stage = Stage()
    script, (owner, _ann) = stage.room(OWNER, KEY, ANN)
    direct = stage.ask(owner, frames.Direct, identity(ANN))
    assert isinstance(direct, frames.Done)
    session = stage.connect()
    decision = stage.play(session, frames.Login(login_answer(ANN, PIN, session.nonce)))
    logged_in = told(decision, session)[0]
    assert logged_in.rooms == [frames.RoomSummary(script.room, 2, 2, False)]
    assert [(d.peer, d.s) for d in logged_in.directs] == [(identity(OWNER), 0)]
    assert effects(decision, PushWaiting) == [PushWaiting(session.id, identity(ANN))]


def test_a_pending_one_sees_its_room_as_pending():
    stage = Stage()
    script, _ = stage.room(OWNER, KEY, ANN, approve=True)
    session = stage.connect()
    decision = stage.play(session, frames.Login(login_answer(ANN, PIN, session.nonce)))
    assert told(decision, session)[0].rooms == [frames.RoomSummary(script.room, 2, 2, True)]


def test_the_newest_login_wins_and_nobody_sees_it_come_or_go():
    stage = Stage()
    _, (_, ann) = stage.room(OWNER, KEY, ANN)
    session = stage.connect()
    decision = stage.play(session, frames.Login(login_answer(ANN, PIN, session.nonce)))
    (close,) = effects(decision, Close)
    assert (close.session, close.goodbye.code) == (ann.id, "replaced")
    assert not effects(decision, Hint)
    assert not effects(stage.hub.gone(ann, NOW), Hint)
    assert stage.memory.online[identity(ANN)] is session
    assert stage.refusal(ann, frames.Bundles, []) == "not-logged-in"


def test_a_login_signed_for_another_connection_or_relay_is_turned_away():
    stage = Stage()
    session = stage.connect()
    for pin, nonce in ((PIN, bytes(32)), (bytes(32), session.nonce)):
        decision = stage.play(session, frames.Login(login_answer(ANN, pin, nonce)))
        (refused,) = told(decision, session)
        assert (refused.ref, refused.code) == (0, "bad-login")
        assert effects(decision, Close) == [Close(session.id, None)]
    assert session.identity is None


def test_a_second_login_on_one_connection_ends_it():
    stage = Stage()
    session = stage.login(ANN)
    decision = stage.play(session, frames.Login(login_answer(BEN, PIN, session.nonce)))
    assert effects(decision, Close)[0].goodbye.code == "protocol"


def test_too_many_logins_of_one_identity_have_to_wait():
    stage = Stage()
    stage.meter.waits["log_in"] = 700
    session = stage.connect()
    decision = stage.play(session, frames.Login(login_answer(ANN, PIN, session.nonce)))
    (refused,) = told(decision, session)
    assert (refused.code, refused.retry_ms) == ("limited", 700)


def test_before_login_nothing_but_login_peek_and_ping():
    stage = Stage()
    session = stage.connect()
    assert stage.ask(session, frames.Ping) == frames.Pong(100)
    assert stage.refusal(session, frames.Bundles, []) == "not-logged-in"
    script, _ = stage.room(OWNER, KEY)
    assert stage.refusal(session, frames.Log, script.room, -1) == "not-member"
    assert stage.refusal(session, frames.Log, bytes(32), -1) == "no-room"


def test_a_peeker_reads_that_one_log():
    stage = Stage()
    script, _ = stage.room(OWNER, KEY)
    other = Script(OWNER)
    session = stage.connect()
    assert isinstance(stage.peek(session, script.room, KEY), frames.Done)
    decision = stage.play(session, frames.Log(7, script.room, -1))
    (pages,) = effects(decision, Pages)
    page, end = list(pages.frames)
    assert page == frames.RecordsPage(7, 0, stage.memory.rooms[script.room].records)
    assert end == frames.LogEnd(7, 1, script.state.head)
    assert stage.refusal(session, frames.Log, other.room, -1) == "no-room"
    assert stage.refusal(session, frames.Follow, script.room, 0) == "not-logged-in"


def test_peek_needs_a_live_invite_and_its_signature_for_this_connection():
    stage = Stage()
    script, (_owner,) = stage.room(OWNER, KEY)
    session = stage.connect()
    assert stage.peek(session, script.room, seed(77)).code == "bad-invite"
    assert stage.peek(session, bytes(32), KEY).code == "no-room"
    assert stage.peek(session, script.room, KEY, nonce=bytes(32)).code == "bad-signature"
    stage.now += 10 * DAY_MS
    assert stage.peek(session, script.room, KEY).code == "invite-expired"
    assert not session.peeks


def test_one_connection_peeks_into_so_many_rooms():
    stage = Stage()
    scripts = [stage.room(OWNER, KEY)[0] for _ in range(PEEKS_MAX + 1)]
    session = stage.connect()
    for script in scripts[:-1]:
        assert isinstance(stage.peek(session, script.room, KEY), frames.Done)
    assert stage.peek(session, scripts[-1].room, KEY).code == "limited"
    assert isinstance(stage.peek(session, scripts[0].room, KEY), frames.Done)


def test_presence_is_told_at_the_first_login_and_the_last_disconnect():
    stage = Stage()
    script, (_owner, ann) = stage.room(OWNER, KEY, ANN)
    assert stage.hub.present(script.room).identities == [identity(OWNER), identity(ANN)]
    (gone,) = effects(stage.hub.gone(ann, NOW), Hint)
    assert gone == Hint(script.room, frames.Presence(script.room, identity(ANN), online=False))
    assert stage.hub.present(script.room).identities == [identity(OWNER)]
    session = stage.connect()
    decision = stage.play(session, frames.Login(login_answer(ANN, PIN, session.nonce)))
    assert effects(decision, Hint)[0].presence.online


def test_over_a_limit_is_a_typed_refusal_with_a_time():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    for kind, request in (
        ("messages", (frames.Send, script.room, b"")),
        ("records", (frames.Submit, script.room, b"")),
        ("parcels", (frames.Parcels, script.room, [])),
        ("requests", (frames.Follow, script.room, 0)),
        ("requests", (frames.Log, script.room, 0)),
        ("bytes", (frames.Follow, script.room, 0)),
    ):
        stage.meter.waits = {kind: 1234}
        answer = stage.ask(owner, *request)
        assert (answer.code, answer.retry_ms) == ("limited", 1234)
    stage.meter.waits = {"requests": 5}
    assert stage.peek(stage.connect(), script.room, KEY).retry_ms == 5


def test_what_is_sent_counts_by_its_length():
    stage = Stage()
    _, (owner,) = stage.room(OWNER, KEY)
    stage.meter.taken.clear()
    stage.ask(owner, frames.Send, bytes(32), bytes(60_000))
    stage.ask(owner, frames.Submit, bytes(32), bytes(1_000))
    stage.ask(owner, frames.Create, bytes(1_000))
    stage.ask(owner, frames.Publish, bytes(1_331))
    stage.ask(owner, frames.Parcels, bytes(32), [frames.ParcelTo(bytes(32), bytes(1_747))] * 10)
    counted = [amount for kind, amount in stage.meter.taken if kind == "bytes"]
    assert [round(amount, -3) for amount in counted] == [60_000, 1_000, 1_000, 1_000, 18_000]
    assert ("parcels", 10) in stage.meter.taken


def test_who_is_refused_for_good_is_given_no_time_to_come_back():
    stage = Stage()
    ann, again, other = stage.login(ANN), stage.connect(), stage.connect()
    (replaced,) = effects(stage.play(again, frames.Login(login_answer(ANN, PIN, again.nonce))), Close)
    (twice,) = effects(stage.play(again, frames.Login(login_answer(BEN, PIN, again.nonce))), Close)
    (forged,) = told(stage.play(other, frames.Login(login_answer(ANN, PIN, again.nonce))), other)
    no_room = stage.ask(again, frames.Follow, bytes(32), 0)
    assert (replaced.session, twice.session) == (ann.id, again.id)
    assert [each.retry_ms for each in (replaced.goodbye, twice.goodbye, forged, no_room)] == [0] * 4


def test_a_peek_counts_as_one_request():
    stage = Stage()
    script, _ = stage.room(OWNER, KEY)
    stage.meter.taken.clear()
    stage.peek(stage.connect(), script.room, KEY)
    assert [taken for taken in stage.meter.taken if taken[0] != "bytes"] == [("requests", 1)]


def test_what_is_short_counts_too():
    stage = Stage()
    session = stage.login(ANN)
    stage.meter.taken.clear()
    stage.ask(session, frames.Follow, bytes(32), 0)
    (counted,) = [amount for kind, amount in stage.meter.taken if kind == "bytes"]
    assert 0 < counted < 1_000


def test_an_invite_is_good_until_the_moment_it_expires():
    stage = Stage()
    script, (owner,) = stage.room(OWNER, KEY)
    short, expires = seed(10), NOW + 5_000
    stage.submit(owner, script, script.invite(short, expires=expires))
    ann, ben = stage.login(ANN), stage.login(BEN)
    stage.now = expires - 1
    assert isinstance(stage.peek(ann, script.room, short), frames.Done)
    stage.submit(ann, script, script.join(ANN, short))
    stage.now = expires
    assert stage.peek(ben, script.room, short).code == "invite-expired"
    assert stage.refusal(ben, frames.Submit, script.room, script.join(BEN, short).raw) == "invite-expired"
