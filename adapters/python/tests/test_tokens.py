"""Tokens, and the words that Python and the core share."""

from __future__ import annotations

import base64
import json
import re
import time
from enum import StrEnum
from pathlib import Path

import parlour
import pytest
from conftest import SECRET
from parlour import ApiKey, Grants, mint_token, verify_token

CORE = Path(__file__).parents[3] / "core" / "src"


def claims_of(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def test_a_token_says_what_it_was_told() -> None:
    key = ApiKey("my-app", SECRET)
    token = mint_token(
        key, "kitchen", "anna", name="Anna", grants=Grants.PARTICIPANT | Grants.KICK, lobby=True, lifetime=60
    )
    claims = verify_token(token, [ApiKey("my-app", "x" * 32), key])
    assert (claims.room, claims.participant, claims.name, claims.lobby) == ("kitchen", "anna", "Anna", True)
    assert claims.grants == Grants.PARTICIPANT | Grants.KICK
    assert claims.expires - time.time() == pytest.approx(60, abs=5)
    with pytest.raises(parlour.TokenError, match="signature"):
        verify_token(token, [ApiKey("my-app", "y" * 32)])
    with pytest.raises(parlour.TokenError, match="issuer"):
        verify_token(token, [])
    with pytest.raises(ValueError, match="32 bytes"):
        ApiKey("my-app", "short")
    with pytest.raises(ValueError):
        mint_token(key, "", "anna")
    with pytest.raises(ValueError, match="seconds"):
        mint_token(key, "kitchen", "anna", lifetime=-1)


@pytest.mark.parametrize("grant", list(Grants))
def test_each_grant_has_the_name_of_the_core(grant: Grants) -> None:
    token = mint_token(ApiKey("my-app", SECRET), "kitchen", "anna", grants=grant)
    assert grant.name is not None
    assert claims_of(token)["grants"] == [grant.name.lower()]


@pytest.mark.parametrize(
    ("words", "file", "name"),
    [
        (parlour.CloseReason, "room/update.rs", "CloseReason"),
        (parlour.JoinRefusal, "signal/join.rs", "JoinRefusal"),
        (parlour.Refusal, "signal/reply.rs", "Refusal"),
        (parlour.ConnectionState, "room/participant.rs", "ConnectionState"),
        (parlour.ReconnectCause, "client/events.rs", "ReconnectCause"),
        (parlour.StreamKind, "room/codec.rs", "StreamKind"),
        (parlour.Codec, "room/codec.rs", "Codec"),
        (parlour.SubscribePolicy, "signal/request.rs", "SubscribePolicy"),
    ],
)
def test_each_word_of_the_core_has_a_member(words: type[StrEnum], file: str, name: str) -> None:
    source = (CORE / file).read_text()
    body = re.search(rf"pub enum {name} {{\n(.*?)\n}}", source, re.DOTALL)
    assert body, f"{name} is not in {file}"
    variants = re.findall(r"^    ([A-Z]\w*),$", body[1], re.MULTILINE)
    snake = [re.sub(r"(?<!^)([A-Z])", r"_\1", variant).lower() for variant in variants]
    assert [word.value for word in words] == snake


def test_each_event_of_the_core_has_a_class() -> None:
    source = (CORE / "client" / "events.rs").read_text()
    body = re.search(r"pub enum Event {\n(.*?)\n}", source, re.DOTALL)
    assert body
    variants = set(re.findall(r"^    ([A-Z]\w*)[,({ ]", body[1], re.MULTILINE))
    acted_on_by_the_adapter = {"Replied", "MessageReceived", "MessagesMissed", "Redirected"}
    renamed = {"Waiting": "WaitingInLobby"}
    classes = {name for name, value in vars(parlour).items() if isinstance(value, type) and issubclass(value, parlour.Event)}
    for variant in variants - acted_on_by_the_adapter:
        assert renamed.get(variant, variant) in classes
    assert len(variants) > 25
