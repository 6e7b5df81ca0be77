use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_700_000_000;

fn key() -> ApiKey {
    ApiKey::new("app", SECRET).unwrap()
}

fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn claims() -> Value {
    json!({ "iss": "app", "sub": "anna", "room": "green", "exp": NOW + 60 })
}

/// [`claims`] with one of them replaced, or left out for `null`.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), value),
    };
    claims
}

fn verify(claims: &Value) -> Result<Claims, TokenError> {
    verify_token(&sign(Algorithm::HS256, SECRET, claims), &[key()], NOW)
}

#[test]
fn only_the_required_claims_make_an_ordinary_participant() {
    let claims = verify(&claims()).unwrap();
    assert_eq!(
        (claims.room.as_str(), claims.participant.as_str()),
        ("green", "anna")
    );
    assert_eq!(
        (claims.name.as_str(), claims.grants),
        ("", Grants::PARTICIPANT)
    );
    assert!(!claims.lobby);
}

#[test]
fn each_defect_has_its_name() {
    use TokenError::WrongType;
    let missing = |claim| TokenError::MissingClaim { claim };
    let name = |claim, reason| TokenError::Name { claim, reason };
    let grants = WrongType {
        claim: "grants",
        expected: "a list of names, or an object with true or false for each name",
    };
    let cases = [
        (with("iss", Value::Null), missing("iss")),
        (with("sub", Value::Null), missing("sub")),
        (with("room", Value::Null), missing("room")),
        (with("exp", Value::Null), missing("exp")),
        (
            with("exp", json!("soon")),
            WrongType {
                claim: "exp",
                expected: "a number of seconds since 1970",
            },
        ),
        (
            with("iat", json!("now")),
            WrongType {
                claim: "iat",
                expected: "a number of seconds since 1970",
            },
        ),
        (
            with("sub", json!(7)),
            WrongType {
                claim: "sub",
                expected: "a text",
            },
        ),
        (
            with("lobby", json!("no")),
            WrongType {
                claim: "lobby",
                expected: "true or false, without quotes",
            },
        ),
        (with("grants", json!("kick")), grants),
        (with("grants", json!({ "kick": 1 })), grants),
        (with("grants", json!([1])), grants),
        (with("iss", json!("other")), TokenError::UnknownIssuer),
        (with("exp", json!(NOW - LEEWAY)), TokenError::Expired),
        (
            with("nbf", json!(NOW + LEEWAY + 1)),
            TokenError::NotYetValid,
        ),
        (
            with("room", json!("green room")),
            name("room", IdError::Forbidden),
        ),
        (with("sub", json!("")), name("sub", IdError::Empty)),
        (
            with("name", json!("x".repeat(33))),
            name("name", IdError::TooLong { max: 32 }),
        ),
        (
            with("name", json!("Anna\u{202e}nimda")),
            name(
                "name",
                IdError::Hidden {
                    character: '\u{202e}',
                },
            ),
        ),
        (
            with("grants", json!(["subscribe", "fly"])),
            TokenError::UnknownGrant,
        ),
        (
            with("grants", json!(["SUBSCRIBE"])),
            TokenError::UnknownGrant,
        ),
        (
            with("grants", json!({ "fly": false })),
            TokenError::UnknownGrant,
        ),
    ];
    for (claims, error) in cases {
        assert_eq!(verify(&claims), Err(error), "{claims}");
    }
    assert!(verify(&with("exp", json!(NOW - LEEWAY + 1))).is_ok());
    assert!(verify(&with("nbf", json!(NOW + LEEWAY))).is_ok());
}

#[test]
fn only_hs256_with_the_right_secret_is_a_signature() {
    let other = "another secret of thirty-two bytes";
    let verify = |token: &str| verify_token(token, &[key()], NOW);
    assert_eq!(
        verify(&sign(Algorithm::HS256, other, &claims())),
        Err(TokenError::Signature)
    );
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(
            verify(&sign(algorithm, SECRET, &claims())),
            Err(TokenError::Algorithm)
        );
    }
    for text in [
        "not a token",
        "not.a.token",
        "W10.W10.W10",
        "e30.e30",
        "e30.e30.e30.e30",
    ] {
        assert_eq!(verify(text), Err(TokenError::Malformed), "{text}");
    }

    // The payload of a valid token, without a signature.
    let token = sign(Algorithm::HS256, SECRET, &claims());
    let payload = token.split('.').nth(1).unwrap();
    for none in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIn0"] {
        assert_eq!(
            verify(&format!("{none}.{payload}.")),
            Err(TokenError::Algorithm)
        );
    }
    let hs256 = token.split('.').next().unwrap();
    assert_eq!(
        verify(&format!("{hs256}.{payload}.")),
        Err(TokenError::Signature)
    );
}

#[test]
fn an_extension_that_must_be_understood_is_not_ignored() {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert_eq!(
        verify_token(&token, &[key()], NOW),
        Err(TokenError::Algorithm)
    );
}

#[test]
fn grants_are_a_list_or_flags() {
    let both = Grants::SUBSCRIBE | Grants::KICK;
    for (grants, expected) in [
        (json!(["subscribe", "kick"]), both),
        (
            json!({ "subscribe": true, "kick": true, "admit": false }),
            both,
        ),
        (
            json!(["participant", "moderator"]),
            Grants::PARTICIPANT | Grants::MODERATOR,
        ),
        (json!([]), Grants::empty()),
        // An explicit flag does not take away what another name gives.
        (
            json!({ "moderator": true, "kick": false }),
            Grants::MODERATOR,
        ),
        (json!({ "kick": true, "moderator": false }), Grants::KICK),
    ] {
        assert_eq!(verify(&with("grants", grants)).unwrap().grants, expected);
    }
}

#[test]
fn the_second_of_two_keys_works_as_the_first() {
    let second = ApiKey::new("second", "fedcba9876543210fedcba9876543210").unwrap();
    let claims = Claims::new("r", "p", Duration::from_secs(60)).unwrap();
    let token = mint_token(&claims, &second).unwrap();
    let keys = [key(), second];
    assert_eq!(
        verify_token(&token, &keys, claims.expires - 1),
        Ok(claims.clone())
    );
    let error = verify_token(&token, &keys[..1], claims.expires - 1);
    assert_eq!(error, Err(TokenError::UnknownIssuer));
}

#[test]
fn a_token_that_no_ticket_could_hold_is_not_minted() {
    let key = ApiKey::new(&"k".repeat(600), SECRET).unwrap();
    let claims = Claims::new("r", "p", Duration::from_secs(60)).unwrap();
    assert_eq!(mint_token(&claims, &key), Err(MintError::TooLong));
}

#[test]
fn a_weak_secret_is_refused_and_a_strong_one_not_shown() {
    assert_eq!(
        ApiKey::new("a", &SECRET[1..]),
        Err(ApiKeyError::ShortSecret)
    );
    assert_eq!(ApiKey::new("", SECRET), Err(ApiKeyError::EmptyId));
    assert!(!format!("{:?}", key()).contains(SECRET));
}

#[test]
fn what_other_libraries_mint_is_understood() {
    const ISSUED: u64 = 1_760_000_000;
    let mut libraries = std::collections::BTreeSet::new();
    for line in include_str!("fixtures/tokens.txt").lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let [library, case, token] = fields[..] else {
            panic!("{line}");
        };
        libraries.insert(library);
        let expected = Claims {
            room: RoomId::new("green").unwrap(),
            participant: ParticipantId::new("anna").unwrap(),
            name: DisplayName::new(if case == "all" { "Anna" } else { "" }).unwrap(),
            grants: match case {
                "all" => Grants::PARTICIPANT | Grants::MODERATOR,
                "flags" => Grants::SUBSCRIBE,
                _ => Grants::PARTICIPANT,
            },
            lobby: case == "all",
            not_before: (case == "times").then_some(ISSUED - 1),
            issued: (case == "times").then_some(ISSUED),
            expires: ISSUED + 3600,
        };
        let verified = verify_token(token, &[key()], ISSUED);
        assert_eq!(verified, Ok(expected), "{library} {case}");
    }
    assert_eq!(libraries.len(), 3, "{libraries:?}");
}

#[test]
fn times_may_be_any_number() {
    let verified = |name, time: Value| verify(&with(name, time)).map(|claims| claims.expires);
    assert_eq!(verified("exp", json!(NOW as f64 + 60.75)), Ok(NOW + 60));
    assert_eq!(verified("exp", json!(1e300)), Ok(u64::MAX));
    assert_eq!(verified("exp", json!(-5)), Err(TokenError::Expired));
    assert_eq!(verified("nbf", json!(-0.5)), Ok(NOW + 60));
    let late = json!((NOW + LEEWAY) as f64 + 0.25);
    assert_eq!(verified("nbf", late), Err(TokenError::NotYetValid));
}

prop_compose! {
    fn arb_claims()(
        room in "[!-~]{1,48}",
        participant in "[!-~]{1,36}",
        name in "[ -~]{0,32}",
        bits: u16,
        lobby: bool,
        not_before in prop::option::of(0..NOW),
        issued: Option<u64>,
        expires in NOW + 1..,
    ) -> Claims {
        Claims {
            room: RoomId::new(&room).unwrap(),
            participant: ParticipantId::new(&participant).unwrap(),
            name: DisplayName::new(&name).unwrap(),
            grants: Grants::from_bits_truncate(bits),
            lobby,
            not_before,
            issued,
            expires,
        }
    }
}

proptest! {
    #[test]
    fn round_trips(claims in arb_claims()) {
        let token = mint_token(&claims, &key()).unwrap();
        prop_assert_eq!(verify_token(&token, &[key()], NOW), Ok(claims));
    }

    #[test]
    fn any_changed_character_is_noticed(claims in arb_claims(), at: prop::sample::Index, to in "[A-Za-z0-9_.-]") {
        let token = mint_token(&claims, &key()).unwrap();
        let at = at.index(token.len() - 1); // the last one carries bits that mean nothing
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != token);
        prop_assert!(verify_token(&changed, &[key()], NOW).is_err());
    }

    #[test]
    fn never_panics(text in ".{0,200}") {
        let _ = verify_token(&text, &[key()], NOW);
    }
}
