"""A room is made, changed by two who do not know of each other, and deleted: with a client that is generated from the
server's description. `mypy --strict` proves the types, running it the server."""

import os
from typing import TypeVar

from parlour_client import AuthenticatedClient, Client
from parlour_client.api.rooms import create_room, delete_room, get_room, list_rooms, update_room
from parlour_client.api.tokens import create_token, refresh_token
from parlour_client.models import ListRoom, Minted, NewRoom, NewToken, Problem, Refresh, Room, RoomChange, RoomState
from parlour_client.types import UNSET, Response, Unset

T = TypeVar("T")
ROOM = "python"


def done(kind: type[T], answer: Response[T | Problem]) -> T:
    assert isinstance(answer.parsed, kind), answer
    return answer.parsed


def refused(answer: Response[T | Problem]) -> Problem:
    problem = answer.parsed
    assert isinstance(problem, Problem), answer
    assert problem.status == answer.status_code
    assert problem.instance == answer.headers["X-Request-Id"]
    return problem


api = AuthenticatedClient(os.environ["PARLOUR_URL"], token=os.environ["PARLOUR_KEY"], raise_on_unexpected_status=True)

made = create_room.sync_detailed(client=api, body=NewRoom(name=ROOM, title="Green", max_participants=4))
room = done(Room, made)
assert made.status_code == 201 and room.state == RoomState.ENABLED and room.active_session is None

again = refused(create_room.sync_detailed(client=api, body=NewRoom(name=ROOM)))
assert again.type_ == "urn:parlour:problem:exists"

body = NewToken(participant="anna", grants=["participant", "kick"], refresh_ttl_s=3600)
minted = done(Minted, create_token.sync_detailed(ROOM, client=api, body=body, idempotency_key="first"))
assert minted.ticket.startswith("parlour://") and not isinstance(minted.refresh_token, Unset)
anybody = Client(os.environ["PARLOUR_URL"])
refresh = Refresh(refresh_token=minted.refresh_token)
assert done(Minted, refresh_token.sync_detailed(client=anybody, body=refresh)).token

invalid = refused(create_token.sync_detailed(ROOM, client=api, body=NewToken(participant="")))
assert not isinstance(invalid.errors, Unset) and invalid.errors[0].pointer == "/participant"

names: list[str] = []
cursor: str | None = None
while True:
    page = done(ListRoom, list_rooms.sync_detailed(client=api, prefix=ROOM, limit=1, cursor=cursor or UNSET))
    names.extend(entry.name for entry in page.data)
    cursor = page.next_cursor
    if cursor is None:
        break
assert names == [ROOM]

read = get_room.sync_detailed(ROOM, client=api)
etag = read.headers["ETag"]
assert done(Room, read).title == "Green"


def change(title: str) -> Response[Room | Problem]:
    return update_room.sync_detailed(ROOM, client=api, body=RoomChange(title=title), if_match=etag)


assert done(Room, change("Greener")).title == "Greener"
late = refused(change("Blue"))
assert (late.status, late.type_) == (412, "urn:parlour:problem:etag-mismatch")

for _ in range(2):
    assert delete_room.sync_detailed(ROOM, client=api).status_code == 204
assert refused(get_room.sync_detailed(ROOM, client=api)).type_ == "urn:parlour:problem:not-found"
print("a client in Python made, listed, changed and deleted a room")
