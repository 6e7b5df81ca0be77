//! Names of things: bounded, validated, compared byte by byte.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use heapless::string::StringView;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::hidden::first_hidden;
use crate::bytes;

/// Why a text cannot be the name of a room, participant, stream or topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IdError {
    /// The text is empty.
    #[error("the name is empty: give at least one character")]
    Empty,
    /// The text has more bytes than the type's `MAX_LEN`.
    #[error("the name is too long: at most {max} bytes")]
    TooLong {
        /// Bytes allowed.
        max: usize,
    },
    /// A character is not allowed: ids take printable ASCII without spaces, display names any
    /// text without control characters.
    #[error("the name has a character that is not allowed here")]
    Forbidden,
    /// A character cannot be seen, or changes how others are seen; see [`DisplayName::visible`].
    #[error("the name has the character U+{:04X}, which is invisible or reorders the text around it: leave it out", u32::from(*.character))]
    Hidden {
        /// The first such character.
        character: char,
    },
}

/// The rules of a kind of name, beside its length.
#[derive(Clone, Copy)]
struct Rules {
    allowed: fn(char) -> bool,
    may_be_empty: bool,
}

/// Checks `text` and copies it to `name`, which is empty. A microcontroller should hold this, and what follows, once
/// and not for each kind of name.
#[inline(never)]
fn fill(name: &mut StringView<u8>, text: &str, rules: Rules) -> Result<(), IdError> {
    if text.is_empty() && !rules.may_be_empty {
        return Err(IdError::Empty);
    }
    let max = name.capacity();
    if text.len() > max {
        return Err(IdError::TooLong { max });
    }
    if !text.chars().all(rules.allowed) {
        return Err(IdError::Forbidden);
    }
    name.push_str(text).map_err(|_| IdError::TooLong { max })
}

#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn write<S: Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn read<'de, D: Deserializer<'de>>(
    name: &mut StringView<u8>,
    deserializer: D,
    rules: Rules,
) -> Result<(), D::Error> {
    struct Visitor<'a>(&'a mut StringView<u8>, Rules);

    impl de::Visitor<'_> for Visitor<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a name of at most {} bytes", self.0.capacity())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
            fill(self.0, text, self.1).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Visitor(name, rules))
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_graphic()
}

fn is_text_char(c: char) -> bool {
    !c.is_control()
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $max:literal, $allowed:path, empty: $may_be_empty:literal) => {
        $(#[$doc])*
        #[derive(Eq, PartialOrd, Ord)]
        // Names are moved much, which a 32-bit processor does word by word if it may.
        #[cfg_attr(not(target_pointer_width = "64"), repr(align(4)))]
        pub struct $name(heapless::String<$max, u8>);

        impl $name {
            /// Most bytes that it may have.
            pub const MAX_LEN: usize = $max;

            const RULES: Rules = Rules {
                allowed: $allowed,
                may_be_empty: $may_be_empty,
            };

            /// Checks `text` and copies it.
            ///
            /// # Errors
            /// [`IdError`] says which rule `text` breaks.
            #[inline(never)]
            pub fn new(text: &str) -> Result<Self, IdError> {
                let mut name = heapless::String::new();
                fill(&mut name, text, Self::RULES)?;
                Ok(Self(name))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Clone for $name {
            // Names are cloned in many places, which would each have the loop that does it.
            #[inline(never)]
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }

        impl PartialEq for $name {
            // As cloning.
            #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        #[cfg(feature = "defmt")]
        impl defmt::Format for $name {
            fn format(&self, f: defmt::Formatter<'_>) {
                defmt::Format::format(self.as_str(), f);
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                write(self.as_str(), serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut name = heapless::String::new();
                read(&mut name, deserializer, Self::RULES)?;
                Ok(Self(name))
            }
        }
    };
}

name_type!(
    /// A room's own, stable name: 1 to 48 bytes of printable ASCII without spaces.
    ///
    /// ```
    /// use parlour_core::room::RoomId;
    /// assert!(RoomId::new("green-room").is_ok());
    /// assert!(RoomId::new("green room").is_err());
    /// ```
    RoomId, 48, is_id_char, empty: false
);
name_type!(
    /// The id of a participant within a room: 1 to 36 bytes of printable ASCII without spaces (a UUID fits). The token
    /// contains it, so one token is one participant.
    ParticipantId, 36, is_id_char, empty: false
);
name_type!(
    /// Which of a participant's streams: 1 to 16 bytes of printable ASCII without spaces, such as
    /// `mic` or `screen`. The publisher chooses it.
    StreamKey, 16, is_id_char, empty: false
);
name_type!(
    /// Which of a participant's attributes: 1 to 16 bytes of printable ASCII without spaces, such as `hand` or
    /// `battery`.
    AttributeKey, 16, is_id_char, empty: false
);
name_type!(
    /// A participant's name for people to read: at most 32 bytes of UTF-8 without control
    /// characters; may be empty. `Debug` escapes what cannot be seen, [`visible`](Self::visible) refuses it.
    DisplayName, 32, is_text_char, empty: true
);
name_type!(
    /// The topic of a message: at most 24 bytes of printable ASCII without spaces; may be empty.
    Topic, 24, is_id_char, empty: true
);

impl DisplayName {
    /// Checks `text` as [`new`](Self::new) does, and takes nothing that misleads who reads it: no character that is not
    /// seen, such as a zero-width space, and none that turns the text around it, such as a right-to-left override. For names
    /// that others have chosen. Joiners and variation selectors are taken inside emoji and words that need them.
    ///
    /// ```
    /// use parlour_core::room::{DisplayName, IdError};
    ///
    /// let misleading = DisplayName::visible("An\u{200b}na");
    /// assert_eq!(misleading, Err(IdError::Hidden { character: '\u{200b}' }));
    /// ```
    ///
    /// # Errors
    /// [`IdError`] says which rule `text` breaks.
    pub fn visible(text: &str) -> Result<Self, IdError> {
        let name = Self::new(text)?;
        match first_hidden(text) {
            Some(character) => Err(IdError::Hidden { character }),
            None => Ok(name),
        }
    }
}

/// One run of a room, from the first join to the last leave: 128 random bits, shown as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(not(target_pointer_width = "64"), repr(align(4)))]
pub struct SessionId(#[serde(deserialize_with = "bytes::deserialize")] pub [u8; 16]);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_does_not_fit() {
        assert_eq!(StreamKey::new(""), Err(IdError::Empty));
        assert_eq!(
            StreamKey::new("seventeen-letters"),
            Err(IdError::TooLong { max: 16 })
        );
        assert_eq!(RoomId::new("a\u{e9}"), Err(IdError::Forbidden));
        assert_eq!(DisplayName::new("a\nb"), Err(IdError::Forbidden));
        assert!(DisplayName::new("").is_ok());
        assert!(DisplayName::new("Zo\u{eb} & Ren\u{e9}").is_ok());
    }

    #[test]
    fn decoding_checks_as_new_does() {
        let mut buffer = [0; 64];
        let bytes = postcard::to_slice("with space", &mut buffer).unwrap();
        assert!(postcard::from_bytes::<StreamKey>(bytes).is_err());
        let bytes = postcard::to_slice("mic", &mut buffer).unwrap();
        assert_eq!(
            postcard::from_bytes::<StreamKey>(bytes).unwrap().as_str(),
            "mic"
        );
    }
}
