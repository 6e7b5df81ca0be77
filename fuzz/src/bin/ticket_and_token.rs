//! Tickets, tokens and names, as users paste them.
//!
//! Input: text. The first byte chooses its kind and its surroundings. Tokens are also signed here with a key of the
//! server's, since no search guesses a signature, and signed ones altered.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::{Algorithm, EncodingKey};
use parlour_core::room::{DisplayName, Grants, ParticipantId, RoomId, StreamKey, Topic};
use parlour_core::ticket::Ticket;
use parlour_fuzz::input::Input;
use parlour_tokio::token::{ApiKey, Claims, LEEWAY, mint_token, verify_token};

/// The header of every token that is good.
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
const API_KEY: &str = "app";
const SECRET: &str = "a secret of the thirty-two bytes that it takes";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn main() {
    parlour_fuzz::search(run);
}

/// Parses and prints again.
pub(crate) fn run(data: &[u8]) {
    let Some((&prefix, text)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    names(&text);
    match prefix % 8 {
        0 => ticket(&text),
        1 => ticket(&format!("parlour://{text}")),
        2 => ticket(&format!("parlour://{text}/{KEY}#t")),
        3 => ticket(&format!("parlour://h:1/{KEY}#{text}")),
        4 => token(&text, 0),
        5 => token(&sign(HEADER, &text), 0),
        6 => {
            let (header, claims) = text.split_once('\n').unwrap_or((&text, ""));
            token(&sign(header, claims), u64::MAX);
        }
        _ => altered(&mut Input::new(&data[1..])),
    }
}

fn keys() -> [ApiKey; 2] {
    [
        ("other", "another secret of thirty-two bytes or more"),
        (API_KEY, SECRET),
    ]
    .map(|(id, secret)| ApiKey::new(id, secret).expect("the secret is long enough"))
}

/// Signs any contents, as holders of the API key could.
fn sign(header: &str, claims: &str) -> String {
    let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    let message = format!("{}.{}", encode(header), encode(claims));
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256);
    format!("{message}.{}", signature.expect("it signs"))
}

fn token(token: &str, now: u64) {
    let Ok(claims) = verify_token(token, &keys(), now) else {
        return;
    };
    assert!(now < claims.expires.saturating_add(LEEWAY));
    // An accepted token can be minted again, unless its other form is too long.
    let [_, key] = keys();
    if let Ok(again) = mint_token(&claims, &key) {
        assert_eq!(verify_token(&again, &keys(), now), Ok(claims));
    }
}

/// A good token is taken, and none that differs from it in a single character.
fn altered(input: &mut Input<'_>) {
    let expires = input.u64().max(1);
    let claims = Claims {
        room: RoomId::new("hall").expect("a room id"),
        participant: ParticipantId::new("ada").expect("a participant id"),
        name: DisplayName::new("Ada").expect("a name"),
        grants: Grants::from_bits_truncate(input.u16()),
        lobby: input.flag(),
        not_before: None,
        issued: None,
        expires,
    };
    let [_, key] = keys();
    let token = mint_token(&claims, &key).expect("it is short");
    assert_eq!(verify_token(&token, &keys(), expires - 1), Ok(claims));
    assert!(
        verify_token(&token, &keys(), expires.saturating_add(LEEWAY)).is_err(),
        "it has run out"
    );

    let place = usize::from(input.u16()) % token.len();
    let character = char::from(input.byte() & 0x7f);
    let mut altered = token.clone();
    altered.replace_range(place..=place, character.encode_utf8(&mut [0; 4]));
    if altered != token {
        assert!(verify_token(&altered, &keys(), 0).is_err(), "{altered}");
    }
    let extended = format!("{token}{character}");
    assert!(verify_token(&extended, &keys(), 0).is_err(), "{extended}");
    assert!(verify_token(&token[..place], &keys(), 0).is_err());
}

fn ticket(text: &str) {
    let Ok(ticket) = Ticket::parse(text) else {
        return;
    };
    assert!(!ticket.host.is_empty() && ticket.port != 0 && !ticket.token.is_empty());
    let printed = ticket.to_string();
    assert_eq!(Ticket::parse(&printed), Ok(ticket));
    // Nothing of the token shows in what is logged.
    let other = Ticket {
        token: "another",
        ..ticket
    };
    assert_eq!(format!("{ticket:?}"), format!("{other:?}"));
}

fn names(text: &str) {
    macro_rules! check {
        ($name:ident) => {
            if let Ok(name) = $name::new(text) {
                assert_eq!(name.as_str(), text);
                assert_eq!(name.to_string(), text);
                assert!(text.len() <= $name::MAX_LEN);
                assert!(!text.chars().any(char::is_control));
            }
        };
    }
    check!(RoomId);
    check!(ParticipantId);
    check!(StreamKey);
    check!(Topic);
    check!(DisplayName);
}
