//! Every signalling message of both directions: whatever decodes has one encoding, which decodes to the same.
//!
//! Input: one byte for the type of message, then the message.

use parlour_core::signal::{
    Answer, EncodeError, Join, LossyDelivery, LossyRequest, MAX_MESSAGE, Request, ServerMessage,
    decode, encode,
};

fn main() {
    parlour_fuzz::search(run);
}

/// Decodes, encodes and decodes again.
pub(crate) fn run(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => request(bytes),
        1 => server_message(bytes),
        2 => join(bytes),
        3 => answer(bytes),
        4 => lossy_request(bytes),
        _ => lossy_delivery(bytes),
    }
}

macro_rules! fixed_point {
    ($name:ident, $message:ty) => {
        fn $name(bytes: &[u8]) {
            let Ok(message) = decode::<$message>(bytes) else {
                return;
            };
            let mut buffer = [0; MAX_MESSAGE + 1];
            let len = encode(&message, &mut buffer[..MAX_MESSAGE]).expect("what decodes, encodes");
            assert!(len <= bytes.len(), "the one encoding is the shortest");
            let again = decode::<$message>(&buffer[..len]).expect("what was encoded, decodes");
            assert_eq!(again, message);

            let mut second = [0; MAX_MESSAGE];
            assert_eq!(encode(&again, &mut second), Ok(len));
            assert_eq!(buffer[..len], second[..len]);
            // No message is the start of another, and none is taken with something behind it.
            assert!(decode::<$message>(&buffer[..len - 1]).is_err());
            assert!(decode::<$message>(&buffer[..=len]).is_err());
            assert_eq!(
                encode(&message, &mut second[..len - 1]),
                Err(EncodeError::BufferTooSmall { needed: len })
            );
        }
    };
}

fixed_point!(request, Request<'_>);
fixed_point!(server_message, ServerMessage<'_>);
fixed_point!(join, Join<'_>);
fixed_point!(answer, Answer);
fixed_point!(lossy_request, LossyRequest<'_>);
fixed_point!(lossy_delivery, LossyDelivery<'_>);
