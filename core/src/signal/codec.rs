//! Messages as bytes, and back.
//!
//! The encoding is [postcard](https://postcard.jamesmunns.com/wire-format): integers as variable
//! length groups of 7 bits, texts and lists with their length before, enums as the number of the
//! variant. `core/vectors` has every message, byte by byte. The tests compare with the crate of that name, whose code for these
//! messages takes more of a device's flash.
//!
//! Decoding is strict in everything but two points, which let the protocol grow and which no
//! decision may depend on: an integer may be padded with empty groups, and unknown
//! [`Grants`](crate::room::Grants) are dropped. So never compare messages by their bytes.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use reader::Reader;
use writer::Writer;

use super::{
    Answer, Join, LossyDelivery, LossyRequest, MAX_BODY, MAX_MESSAGE, MAX_TOKEN, Operation,
    Request, ServerMessage,
};

/// Why a message cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncodeError {
    /// The body has more than [`MAX_BODY`] bytes.
    #[error("the body is too long: at most {MAX_BODY} bytes")]
    BodyTooLong,
    /// The token has more than [`MAX_TOKEN`] bytes.
    #[error("the token is too long: at most {MAX_TOKEN} bytes")]
    TokenTooLong,
    /// The encoding has more than [`MAX_MESSAGE`] bytes.
    #[error("the message is too long: at most {MAX_MESSAGE} bytes when encoded")]
    TooLong,
    /// The lent buffer does not hold the encoding.
    #[error("the buffer is too small: lend {needed} bytes")]
    BufferTooSmall {
        /// Bytes that the encoding has.
        needed: usize,
    },
}

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// There are more than [`MAX_MESSAGE`] bytes.
    #[error("the message is too long: at most {MAX_MESSAGE} bytes")]
    TooLong,
    /// The bytes end within the message.
    #[error("the message is cut off")]
    Truncated,
    /// Bytes follow the message.
    #[error("bytes follow the message")]
    TrailingBytes,
    /// An integer is larger than its type or does not end.
    #[error("an integer in the message is out of range")]
    BadInteger,
    /// A flag or the presence of an optional part is neither 0 nor 1.
    #[error("a flag in the message is neither 0 nor 1")]
    BadFlag,
    /// A text is not UTF-8.
    #[error("a text in the message is not UTF-8")]
    BadText,
    /// The bytes are well formed, but a value is none that the protocol knows: a variant of a newer
    /// protocol, a list with too many entries, a name that is too long or has forbidden characters.
    #[error("a value in the message is unknown or not allowed")]
    BadValue,
    /// The body has more than [`MAX_BODY`] bytes.
    #[error("the body is too long: at most {MAX_BODY} bytes")]
    BodyTooLong,
    /// The token has more than [`MAX_TOKEN`] bytes.
    #[error("the token is too long: at most {MAX_TOKEN} bytes")]
    TokenTooLong,
}

mod reader;
mod writer;

mod sealed {
    /// A limit that neither the types nor the encoding keep.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Limit {
        Body,
        Token,
    }

    pub trait Checked {
        /// Says which limit the message breaks.
        fn check(&self) -> Result<(), Limit> {
            Ok(())
        }
    }
}

use sealed::{Checked, Limit};

/// What [`encode`] and [`decode`] take: [`Request`], [`ServerMessage`], [`Join`], [`Answer`],
/// [`LossyRequest`] and [`LossyDelivery`].
pub trait Message: Serialize + Checked {}

impl<T: Serialize + Checked> Message for T {}

impl Checked for Request<'_> {
    fn check(&self) -> Result<(), Limit> {
        check_operation(&self.operation)
    }
}

#[cfg(feature = "client")]
impl Checked for super::RequestRef<'_> {
    fn check(&self) -> Result<(), Limit> {
        check_operation(self.operation)
    }
}

fn check_operation(operation: &Operation<'_>) -> Result<(), Limit> {
    match operation {
        Operation::Send { body, .. } => check_body(body),
        Operation::RefreshToken { token } => check_token(token),
        _ => Ok(()),
    }
}

impl Checked for ServerMessage<'_> {
    fn check(&self) -> Result<(), Limit> {
        match self {
            Self::Deliver { body, .. } => check_body(body),
            _ => Ok(()),
        }
    }
}

impl Checked for Join<'_> {
    fn check(&self) -> Result<(), Limit> {
        check_token(&self.token)
    }
}

impl Checked for Answer {}

impl Checked for LossyRequest<'_> {
    fn check(&self) -> Result<(), Limit> {
        check_body(self.body)
    }
}

impl Checked for LossyDelivery<'_> {
    fn check(&self) -> Result<(), Limit> {
        check_body(self.body)
    }
}

fn check_body(body: &[u8]) -> Result<(), Limit> {
    if body.len() > MAX_BODY {
        return Err(Limit::Body);
    }
    Ok(())
}

fn check_token(token: &str) -> Result<(), Limit> {
    if token.len() > MAX_TOKEN {
        return Err(Limit::Token);
    }
    Ok(())
}

/// Writes `message` to the start of `buffer` and returns how many bytes it has. With
/// [`MAX_MESSAGE`] bytes lent, only a body or token that is too long can fail.
///
/// ```
/// use parlour_core::signal::{MAX_MESSAGE, Operation, Request, RequestId, decode, encode};
///
/// let request = Request { id: RequestId(300), operation: Operation::Leave };
/// let mut buffer = [0; MAX_MESSAGE];
/// let length = encode(&request, &mut buffer)?;
/// assert_eq!(buffer[..length], [0xac, 0x02, 13]);
/// assert_eq!(decode::<Request>(&buffer[..length]), Ok(request));
/// # Ok::<(), parlour_core::signal::EncodeError>(())
/// ```
///
/// # Errors
/// [`EncodeError`] says which limit the message breaks; then `buffer` holds nothing of use.
pub fn encode<T: Message>(message: &T, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    message.check().map_err(|limit| match limit {
        Limit::Body => EncodeError::BodyTooLong,
        Limit::Token => EncodeError::TokenTooLong,
    })?;
    let mut writer = Writer::new(buffer);
    // Fails for types that no message has.
    message
        .serialize(&mut writer)
        .map_err(|_| EncodeError::TooLong)?;
    let needed = writer.written();
    if needed > MAX_MESSAGE {
        return Err(EncodeError::TooLong);
    }
    if needed > buffer.len() {
        return Err(EncodeError::BufferTooSmall { needed });
    }
    Ok(needed)
}

/// Reads the message that `bytes` are, all of them. Texts and bodies are borrowed from `bytes`.
/// See [`encode`] for an example.
///
/// # Errors
/// [`DecodeError`] says why `bytes` are no such message.
pub fn decode<'a, T: Message + Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(DecodeError::TooLong);
    }
    let mut reader = Reader::new(bytes);
    let message = T::deserialize(&mut reader);
    // What was read after it, and may be no value of a message, is made up.
    if let Some(failure) = reader.failure() {
        return Err(failure);
    }
    let message = message.map_err(|_| DecodeError::BadValue)?;
    if !reader.is_at_end() {
        return Err(DecodeError::TrailingBytes);
    }
    message.check().map_err(|limit| match limit {
        Limit::Body => DecodeError::BodyTooLong,
        Limit::Token => DecodeError::TokenTooLong,
    })?;
    Ok(message)
}

#[cfg(test)]
mod tests;
