//! Messages out of bytes.
//!
//! A reader remembers the first failure and from then on gives zeros and empty texts, so that reading cannot fail and the code
//! of a message has no branch after each of its fields: 4 KB of a device's flash. The one error left says that the values which
//! were read are none that a message may have.

use core::fmt;

use serde::de::value::U32Deserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::DecodeError;

/// A value that is unknown or not allowed.
#[derive(Debug)]
pub(super) struct BadValue;

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DecodeError::BadValue.fmt(f)
    }
}

impl core::error::Error for BadValue {}

impl de::Error for BadValue {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

pub(super) struct Reader<'de> {
    rest: &'de [u8],
    failure: Option<DecodeError>,
}

impl<'de> Reader<'de> {
    pub(super) const fn new(bytes: &'de [u8]) -> Self {
        Self {
            rest: bytes,
            failure: None,
        }
    }

    /// The first failure.
    pub(super) fn failure(&self) -> Option<DecodeError> {
        self.failure
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    #[cold]
    fn fail(&mut self, failure: DecodeError) {
        self.failure.get_or_insert(failure);
        self.rest = &[];
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            self.fail(DecodeError::Truncated);
            return 0;
        };
        self.rest = rest;
        *first
    }

    /// 0 or 1.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn flag(&mut self) -> bool {
        let byte = self.byte();
        if byte > 1 {
            self.fail(DecodeError::BadFlag);
        }
        byte == 1
    }

    /// Groups of 7 bits, the lowest first; no more of them, and no more bits in the last one, than an integer of this many
    /// bits needs.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn integer(&mut self, bits: u32) -> u64 {
        let mut value = 0;
        let mut shift = 0;
        while shift < bits {
            let byte = self.byte();
            let group = u64::from(byte & 0x7f);
            let room = bits - shift;
            if room < 7 && group >> room != 0 {
                break;
            }
            value |= group << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
        self.fail(DecodeError::BadInteger);
        0
    }

    fn len(&mut self) -> usize {
        self.integer(usize::BITS) as usize
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn bytes(&mut self) -> &'de [u8] {
        let len = self.len();
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            self.fail(DecodeError::Truncated);
            return &[];
        };
        self.rest = rest;
        bytes
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn text(&mut self) -> &'de str {
        core::str::from_utf8(self.bytes()).unwrap_or_else(|_| {
            self.fail(DecodeError::BadText);
            ""
        })
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = BadValue;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadValue> {
        visitor.visit_bool(self.flag())
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadValue> {
        visitor.visit_u8(self.byte())
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadValue> {
        visitor.visit_u16(self.integer(u16::BITS) as u16)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadValue> {
        visitor.visit_u32(self.integer(u32::BITS) as u32)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadValue> {
        visitor.visit_u64(self.integer(u64::BITS))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadValue> {
        visitor.visit_borrowed_str(self.text())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadValue> {
        visitor.visit_borrowed_bytes(self.bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadValue> {
        if self.flag() {
            visitor.visit_some(self)
        } else {
            visitor.visit_none()
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, BadValue> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadValue> {
        let left = self.len();
        visitor.visit_seq(List { reader: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, BadValue> {
        visitor.visit_seq(Fields(self))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, BadValue> {
        visitor.visit_seq(Fields(self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BadValue> {
        visitor.visit_seq(Fields(self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BadValue> {
        visitor.visit_enum(self)
    }

    /// Bytes do not say what they are, and no message has the types below.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, BadValue> {
        Err(BadValue)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 f32 f64 char string byte_buf unit unit_struct map identifier ignored_any
    }
}

impl<'de> de::EnumAccess<'de> for &mut Reader<'de> {
    type Error = BadValue;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), BadValue> {
        let number: U32Deserializer<BadValue> =
            (self.integer(u32::BITS) as u32).into_deserializer();
        Ok((seed.deserialize(number)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Reader<'de> {
    type Error = BadValue;

    fn unit_variant(self) -> Result<(), BadValue> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, BadValue> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, BadValue> {
        visitor.visit_seq(Fields(self))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BadValue> {
        visitor.visit_seq(Fields(self))
    }
}

/// The fields of a struct. A visitor asks for as many as there are, so they are not counted.
struct Fields<'a, 'de>(&'a mut Reader<'de>);

impl<'de> de::SeqAccess<'de> for Fields<'_, 'de> {
    type Error = BadValue;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, BadValue> {
        seed.deserialize(&mut *self.0).map(Some)
    }
}

/// The entries of a list. A failure ends it, whatever length it told.
struct List<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for List<'_, 'de> {
    type Error = BadValue;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, BadValue> {
        if self.left == 0 || self.reader.failure.is_some() {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }
}
