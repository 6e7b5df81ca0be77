"""Who is there, what they say by messages, and what moderators do."""

from __future__ import annotations

import asyncio
import socket

import parlour
import pytest
from conftest import meeting, scenario, serve, until
from parlour import (
    ALL,
    CloseReason,
    ConnectionState,
    Grants,
    JoinRefusal,
    Message,
    ParticipantJoined,
    ParticipantLeft,
    Refusal,
    Room,
    StreamKind,
)


@scenario
async def test_participants_attributes_and_events() -> None:
    async with serve() as server:
        ticket = server.ticket("kitchen", "anna", name="Anna", grants=Grants.PARTICIPANT)
        async with await Room.join(ticket) as anna:
            events = anna.events()
            async with await Room.join(server.ticket("kitchen", "ben", name="Ben")) as ben:
                # Else it may be known with its stream at once.
                await until(lambda: bool(anna.participants))
                mic = await ben.publish_audio("mic")
                await ben.set_attribute("hand", "up")
                await until(lambda: any(one.streams and one.attributes for one in anna.participants))
                [seen] = anna.participants
                assert (seen.id, seen.name, seen.connection) == ("ben", "Ben", ConnectionState.CONNECTED)
                assert seen.attributes == {"hand": b"up"}
                assert [(s.key, s.kind, s.codec, s.muted) for s in seen.streams] == [
                    ("mic", StreamKind.AUDIO, "opus", False)
                ]
                assert not seen.censored and not seen.speaking and seen.level is None
                me = anna.participant("anna")
                assert me is not None and me.name == "Anna" and anna.me == "anna"
                assert anna.participant("carl") is None
                assert anna.grants == Grants.PARTICIPANT
                assert anna.session == ben.session and anna.session
                assert await server.participants("kitchen") == [("anna", "Anna", False), ("ben", "Ben", False)]
                mic.unpublish()
                with pytest.raises(parlour.WriteError, match="publish it again"):
                    mic.write(b"")
                assert mic.key == "mic" and mic.played == 0
                await until(lambda: not anna.participants[0].streams)
            seen_events = []
            async for event in events:
                seen_events.append(event)
                if isinstance(event, ParticipantLeft):
                    break
            assert seen_events[0] == parlour.Joined(resumed=False)
            assert ParticipantJoined("ben", present=False) in seen_events
            assert parlour.StreamPublished(parlour.StreamRef("ben", "mic")) in seen_events
            assert parlour.StreamUnpublished(parlour.StreamRef("ben", "mic")) in seen_events
            assert parlour.AttributeChanged("ben", "hand") in seen_events
            assert seen_events[-1] == ParticipantLeft("ben", CloseReason.LEFT)
            assert not any(isinstance(event, parlour.UnknownEvent) for event in seen_events)
        rest = [event async for event in events]
        assert isinstance(rest[-1], parlour.Closed)
        assert rest[-1].cause == anna.close_cause and rest[-1].cause.reason is CloseReason.LEFT
        assert anna.statistics.media_sent == 0


@scenario
async def test_messages_arrive_in_order_and_end_with_the_room() -> None:
    async with meeting("anna", "ben", "carl") as (server, [anna, ben, carl]):
        assert await anna.send_message("hello") == 2
        assert await anna.send_message(b"\x00\xff", topic="raw", to="ben") == 1
        assert await anna.send_message("both", to=["ben", "carl"]) == 2
        assert await server.send_message("kitchen", "news", sender="desk", to=ALL) == 3
        messages = ben.messages()
        got = [await anext(messages) for _ in range(4)]
        assert got == [
            Message("anna", "chat", b"hello"),
            Message("anna", "raw", b"\x00\xff"),
            Message("anna", "chat", b"both"),
            Message("desk", "chat", b"news"),
        ]
        events = carl.events()
        anna.send_lossy_message("here", topic="cursor")
        async for event in events:
            if isinstance(event, parlour.LossyMessage):
                assert event == parlour.LossyMessage("anna", "cursor", b"here")
                break
        with pytest.raises(parlour.RequestError, match="640"):
            await anna.send_message(bytes(641))
        with pytest.raises(ValueError, match="8 participants"):
            await anna.send_message("many", to=[f"p{n}" for n in range(9)])
        await ben.leave()
        assert [message async for message in messages] == []


@scenario
async def test_moderators_and_errors_with_their_refusals() -> None:
    async with meeting("anna", "ben") as (server, [anna, ben]):
        assert await anna.censor("ben") == 1
        await until(lambda: anna.participants[0].censored)
        assert await anna.uncensor(["ben"]) == 1
        with pytest.raises(parlour.RequestError) as unknown:
            await anna.kick("nobody")
        assert unknown.value.refusal is Refusal.UNKNOWN_PARTICIPANT
        with pytest.raises(ValueError):
            await anna.kick("")
        guest = await Room.join(server.ticket("kitchen", "guest"))
        with pytest.raises(parlour.RequestError) as forbidden:
            await guest.kick(ALL)
        assert forbidden.value.refusal is Refusal.NOT_PERMITTED
        assert "does not grant" in str(forbidden.value)
        mic = await guest.publish_audio("mic")
        with pytest.raises(parlour.PublishError, match="already publish"):
            await guest.publish_audio("mic")
        assert await anna.kick(ALL) == 2
        assert mic.key == "mic"
        assert (await guest.closed()).reason is CloseReason.KICKED
        with pytest.raises(parlour.RequestError, match="join again"):
            await guest.send_message("still here?")
        with pytest.raises(parlour.JoinError) as kept_out:
            await Room.join(server.ticket("kitchen", "ben"))
        assert kept_out.value.refusal is JoinRefusal.KICKED
        await anna.end_session()
        assert (await anna.closed()).reason is CloseReason.SESSION_ENDED


@scenario
async def test_the_lobby() -> None:
    async with meeting("anna") as (server, [anna]):
        joins = [
            asyncio.create_task(Room.join(server.ticket("kitchen", name, name=name.title(), lobby=True)))
            for name in ("ben", "carl")
        ]
        await until(lambda: len(anna.lobby.waiting) == 2)
        assert {(one.participant, one.name) for one in anna.lobby.waiting} == {("ben", "Ben"), ("carl", "Carl")}
        assert await anna.admit("ben") == 1 and await anna.deny("carl") == 1
        ben = await joins[0]
        with pytest.raises(parlour.JoinError) as denied:
            await joins[1]
        assert denied.value.reason is CloseReason.DENIED
        await ben.leave()


@scenario
async def test_the_server_moderates() -> None:
    async with meeting("anna", "ben") as (server, [anna, ben]):
        assert await server.censor("kitchen", "anna") == ["anna"]
        assert await server.uncensor("kitchen", ALL) == ["anna"]
        assert await server.kick("kitchen", ["anna", "nobody"]) == ["anna"]
        assert (await anna.closed()).reason is CloseReason.KICKED
        await server.end_session("kitchen")
        assert (await ben.closed()).reason is CloseReason.SESSION_ENDED
        with pytest.raises(parlour.ModerateError):
            await server.end_session("kitchen")


@scenario
async def test_participants_know_that_they_are_recorded() -> None:
    async with meeting("anna") as (server, [anna]):
        with pytest.raises(parlour.ModerateError):
            await server.record("hall")
        assert not anna.is_recorded
        events = anna.events()
        for recorded in (True, False):
            await server.record("kitchen", recorded)
            async for event in events:
                if isinstance(event, parlour.RecordingChanged):
                    break
            assert event == parlour.RecordingChanged(recorded)
            assert anna.is_recorded is recorded


@scenario
async def test_a_join_that_fails_says_why() -> None:
    with pytest.raises(parlour.JoinError, match="ticket"):
        await Room.join("not a ticket")
    with pytest.raises(ValueError, match="transport"):
        await Room.join("parlour://x", transport="pigeon")
    server = serve()
    expired = server.ticket("kitchen", "anna", lifetime=0)
    other = parlour.mint_token(parlour.ApiKey("other", "x" * 32), "kitchen", "anna")
    with pytest.raises(parlour.JoinError) as invalid:
        await Room.join(f"{server.ticket_base}#{other}")
    assert invalid.value.refusal is JoinRefusal.INVALID_TOKEN and invalid.value.reason is None
    # Clocks may differ by half a minute, so this one is let in.
    await (await Room.join(expired)).leave()
    await server.shutdown()
    with pytest.raises(parlour.BindError, match="shut down"):
        server.ticket("kitchen", "anna")
    with pytest.raises(parlour.JoinError, match="nobody listens|no answer"):
        await Room.join(expired, timeout=2, transport="udp")


@scenario
async def test_a_join_by_tcp_and_one_that_is_cancelled() -> None:
    async with serve() as server:
        async with await Room.join(server.ticket("kitchen", "anna"), transport="tcp") as anna:
            waiting = asyncio.create_task(Room.join(server.ticket("kitchen", "ben", lobby=True)))
            await asyncio.sleep(0.3)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert anna.participants == []


def test_a_server_whose_port_is_taken_says_so() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(parlour.BindError, match=f"{port} is in use"):
            parlour.Server(f"127.0.0.1:{port}", parlour.ApiKey("test", "x" * 32))
    with pytest.raises(ValueError):
        parlour.Server("nowhere", parlour.ApiKey("test", "x" * 32))


def test_without_an_event_loop_there_is_an_error() -> None:
    joining = Room.join("parlour://x")
    with pytest.raises(RuntimeError, match="no running event loop"):
        joining.send(None)
