mod annotate;
mod strategies;
mod vectors;

use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::room::{ParticipantId, StreamKey, Topic};
use crate::signal::{
    MAX_TARGETS, ParticipantList, Publish, Recipients, RequestId, Resume, Secret, SubscribePolicy,
    Targets,
};

fn encoded(message: &impl Message) -> Vec<u8> {
    let mut buffer = vec![0; MAX_MESSAGE];
    let length = encode(message, &mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// The encoding without the codec's checks.
fn unchecked(message: &impl Serialize) -> Vec<u8> {
    let mut buffer = [0; 2 * MAX_MESSAGE];
    postcard::to_slice(message, &mut buffer).unwrap().to_vec()
}

/// As postcard reads it.
fn reference<'a, T: Message + Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let (message, rest) = postcard::take_from_bytes::<T>(bytes).map_err(|error| match error {
        postcard::Error::DeserializeUnexpectedEnd => DecodeError::Truncated,
        postcard::Error::DeserializeBadVarint => DecodeError::BadInteger,
        postcard::Error::DeserializeBadBool | postcard::Error::DeserializeBadOption => {
            DecodeError::BadFlag
        }
        postcard::Error::DeserializeBadUtf8 => DecodeError::BadText,
        _ => DecodeError::BadValue,
    })?;
    if !rest.is_empty() {
        return Err(DecodeError::TrailingBytes);
    }
    message.check().map_err(|limit| match limit {
        Limit::Body => DecodeError::BodyTooLong,
        Limit::Token => DecodeError::TokenTooLong,
    })?;
    Ok(message)
}

/// One part of a message in all ways of getting it wrong.
fn round_trips<'a, T>(message: &T, bytes: &'a [u8]) -> Result<(), TestCaseError>
where
    T: Message + Deserialize<'a> + PartialEq + Debug,
{
    let decoded = decode::<T>(bytes);
    prop_assert_eq!(decoded.as_ref(), Ok(message));
    for length in 0..bytes.len() {
        prop_assert_eq!(
            decode::<T>(&bytes[..length]).err(),
            Some(DecodeError::Truncated)
        );
    }
    for length in [0, bytes.len() / 2, bytes.len() - 1] {
        let needed = bytes.len();
        prop_assert_eq!(
            encode(message, &mut vec![0; length]),
            Err(EncodeError::BufferTooSmall { needed })
        );
    }
    Ok(())
}

macro_rules! properties {
    ($($module:ident: $type:ident),*) => {
        $(mod $module {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(128))]

                #[test]
                fn round_trip(message in strategies::$module()) {
                    let bytes = encoded(&message);
                    prop_assert_eq!(&unchecked(&message), &bytes);
                    round_trips::<$type>(&message, &bytes)?;
                    let longer = [bytes.as_slice(), &[0]].concat();
                    let expected = if longer.len() > MAX_MESSAGE {
                        DecodeError::TooLong
                    } else {
                        DecodeError::TrailingBytes
                    };
                    prop_assert_eq!(decode::<$type>(&longer).err(), Some(expected));
                }

                #[test]
                fn decoding_is_that_of_postcard(
                    bytes in strategies::bytes(strategies::$module().prop_map(|m| encoded(&m))),
                ) {
                    prop_assert_eq!(decode::<$type>(&bytes), reference::<$type>(&bytes));
                }

                #[test]
                fn decoding_is_a_fixed_point(
                    bytes in strategies::bytes(strategies::$module().prop_map(|m| encoded(&m))),
                ) {
                    if let Ok(message) = decode::<$type>(&bytes) {
                        let again = encoded(&message);
                        prop_assert!(again.len() <= bytes.len());
                        prop_assert_eq!(decode::<$type>(&again), Ok(message));
                    }
                }
            }
        })*
    };
}

properties!(
    request: Request,
    server_message: ServerMessage,
    join: Join,
    answer: Answer,
    lossy_request: LossyRequest,
    lossy_delivery: LossyDelivery
);

fn list_of(length: usize, entries: usize) -> ParticipantList {
    let id = "p".repeat(length);
    let ids = (0..entries).map(|_| ParticipantId::new(&id).unwrap());
    ParticipantList::of(ids).unwrap()
}

fn send(body: &[u8]) -> Request<'_> {
    Request {
        id: RequestId(0xffff),
        operation: Operation::Send {
            to: Recipients::List(list_of(ParticipantId::MAX_LEN, MAX_TARGETS)),
            topic: Topic::new(&"t".repeat(Topic::MAX_LEN)).unwrap(),
            body,
        },
    }
}

fn join(token: &str) -> Join<'_> {
    let publish = Publish {
        key: StreamKey::new(&"k".repeat(StreamKey::MAX_LEN)).unwrap(),
        kind: crate::room::StreamKind::Screen,
        codec: crate::room::Codec::H264,
        muted: true,
    };
    Join {
        token: Secret(token),
        participants: u16::MAX,
        slots: u8::MAX,
        policy: SubscribePolicy::Mix,
        publish: core::iter::repeat_n(publish, crate::room::MAX_STREAMS).collect(),
        resume: Some(Resume {
            ticket: Secret([0xff; 24]),
            version: Some(crate::room::Version(u64::MAX)),
        }),
    }
}

#[test]
fn bodies_and_tokens_go_up_to_their_limits() {
    let body = [0xff; MAX_BODY + 1];
    let token = "x".repeat(MAX_TOKEN + 1);
    let (fits, full_token) = (&body[..MAX_BODY], &token[..MAX_TOKEN]);
    let from = ParticipantId::new(&"p".repeat(ParticipantId::MAX_LEN)).unwrap();
    let topic = Topic::new(&"t".repeat(Topic::MAX_LEN)).unwrap();
    let refresh = |token| Request {
        id: RequestId(0xffff),
        operation: Operation::RefreshToken {
            token: Secret(token),
        },
    };
    let lossy = |body| LossyRequest {
        to: Recipients::List(list_of(ParticipantId::MAX_LEN, MAX_TARGETS)),
        topic: topic.clone(),
        body,
    };
    let delivery = |body| LossyDelivery {
        from: from.clone(),
        topic: topic.clone(),
        body,
    };
    let deliver = |body| ServerMessage::Deliver {
        from: from.clone(),
        topic: topic.clone(),
        body,
    };

    macro_rules! limit {
        ($type:ident, $make:expr, $fits:expr, $long:expr, $error:ident) => {{
            let bytes = encoded(&$make($fits));
            assert_eq!(decode::<$type>(&bytes), Ok($make($fits)));
            let mut buffer = [0; 2 * MAX_MESSAGE];
            assert_eq!(encode(&$make($long), &mut buffer), Err(EncodeError::$error));
            let bytes = unchecked(&$make($long));
            assert_eq!(decode::<$type>(&bytes), Err(DecodeError::$error));
        }};
    }
    limit!(Request, send, fits, &body, BodyTooLong);
    limit!(Request, refresh, full_token, &token, TokenTooLong);
    limit!(ServerMessage, deliver, fits, &body, BodyTooLong);
    limit!(Join, join, full_token, &token, TokenTooLong);
    limit!(LossyRequest, lossy, fits, &body, BodyTooLong);
    limit!(LossyDelivery, delivery, fits, &body, BodyTooLong);
}

#[test]
fn what_is_longer_than_any_message_is_neither_made_nor_read() {
    #[derive(Serialize)]
    struct Huge([[u64; 32]; 4]);
    impl Checked for Huge {}

    let mut buffer = [0; 4 * MAX_MESSAGE];
    let huge = Huge([[u64::MAX; 32]; 4]);
    assert_eq!(encode(&huge, &mut buffer), Err(EncodeError::TooLong));
    assert_eq!(
        decode::<Request>(&[0; MAX_MESSAGE + 1]),
        Err(DecodeError::TooLong)
    );
}

#[test]
fn lists_and_names_go_up_to_their_limits() {
    // Moderate{Kick, List(…)}, with lists of more entries than the type holds.
    let bytes = |entries: u8| {
        let mut bytes = vec![0, 8, 0, 1, entries];
        for _ in 0..entries {
            bytes.extend(b"\x03bob");
        }
        bytes
    };
    let most = bytes(8);
    let request = decode::<Request>(&most).unwrap();
    let Operation::Moderate { targets, .. } = request.operation else {
        panic!("{request:?}");
    };
    assert!(matches!(targets, Targets::List(list) if list.len() == 8));
    assert_eq!(decode::<Request>(&bytes(9)), Err(DecodeError::BadValue));

    let unpublish = |key: &str| [&[0, 1], unchecked(&key).as_slice()].concat();
    assert!(decode::<Request>(&unpublish(&"k".repeat(16))).is_ok());
    for key in ["", "two words", "k\u{e9}y", "seventeen-letters"] {
        assert_eq!(
            decode::<Request>(&unpublish(key)),
            Err(DecodeError::BadValue)
        );
    }
}

#[test]
fn every_defect_has_its_error() {
    let cases: [(&[u8], DecodeError); 12] = [
        (&[], DecodeError::Truncated),
        (&[0], DecodeError::Truncated),
        // A request id beyond u16, and one that does not end.
        (&[0xff, 0xff, 0x04, 13], DecodeError::BadInteger),
        (&[0x80, 0x80, 0x80, 0x80], DecodeError::BadInteger),
        // Operations that do not exist (yet).
        (&[0, 15], DecodeError::BadValue),
        (&[0, 0xff, 0xff, 0xff, 0xff, 0x0f], DecodeError::BadValue),
        // SetMuted with muted = 2; Pin with an option that is 2.
        (&[0, 2, 1, b'k', 2], DecodeError::BadFlag),
        (&[0, 6, 2], DecodeError::BadFlag),
        // A token and a key that are not UTF-8.
        (&[0, 10, 1, 0xff], DecodeError::BadText),
        (&[0, 1, 2, 0xc3, 0x28], DecodeError::BadText),
        // A body that claims all the memory there is.
        (
            &[0, 7, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f],
            DecodeError::Truncated,
        ),
        (&[0, 13, 0], DecodeError::TrailingBytes),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode::<Request>(bytes), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn two_laxities_let_the_protocol_grow() {
    // Request id 0 as two groups.
    let padded = decode::<Request>(&[0x80, 0, 13]).unwrap();
    assert_eq!(encoded(&padded), [0, 13]);

    #[derive(Serialize)]
    struct Newer(&'static str, [u8; 16], u16);
    let head = unchecked(&Newer("ada", [0; 16], 0x8001));
    let tail = unchecked(&(
        false, 1_u32, 0_u8, None::<u8>, [0_u8; 24], [0_u8; 16], 1_u8, 2_u8,
    ));
    let bytes = [&[0], head.as_slice(), &tail].concat();
    let Ok(Answer::Joined(joined)) = decode(&bytes) else {
        panic!("not understood");
    };
    assert_eq!(joined.grants, crate::room::Grants::PUBLISH_AUDIO);
}

#[test]
fn addresses_are_compact() {
    let v4 = Answer::Redirect("192.0.2.1:443".parse().unwrap());
    assert_eq!(encoded(&v4), [3, 0, 192, 0, 2, 1, 0xbb, 0x03]);
    let v6 = Answer::Redirect("[::1]:443".parse().unwrap());
    assert_eq!(encoded(&v6).len(), 1 + 1 + 16 + 2);
    assert_eq!(encoded(&Answer::RedirectPort(443)), [4, 0xbb, 0x03]);
    let either = Answer::RedirectEither(
        "192.0.2.1:443".parse().unwrap(),
        "[::1]:443".parse().unwrap(),
    );
    assert_eq!(encoded(&either).len(), 1 + 4 + 2 + 16 + 2);
}
