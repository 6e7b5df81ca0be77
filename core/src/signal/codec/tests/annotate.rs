//! A serializer that says what each byte of a postcard encoding means.
//!
//! It shares nothing with the codec but the primitives, so it also checks it: both must come to the
//! same bytes.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use serde::ser::{self, Serialize};

use crate::vectors::Field;

/// The parts of an encoding.
#[derive(Debug, Default)]
pub(super) struct Annotated {
    pub(super) fields: Vec<Field>,
    /// The variants in it, as `Enum::Variant`.
    pub(super) variants: BTreeSet<String>,
    /// Where in the message the next field is.
    path: Vec<String>,
}

impl Annotated {
    pub(super) fn of(message: &impl Serialize) -> Self {
        let mut annotated = Self::default();
        message.serialize(&mut annotated).unwrap();
        annotated
    }

    fn field(&mut self, encoded: &impl Serialize, meaning: &str) {
        let mut buffer = [0; 2048];
        let bytes = postcard::to_slice(encoded, &mut buffer).unwrap().to_vec();
        let path = self.path.join(".").replace(".[", "[");
        let meaning = match path.as_str() {
            "" => meaning.to_string(),
            path => format!("{path} = {meaning}"),
        };
        self.fields.push(Field { bytes, meaning });
    }

    fn number(&mut self, number: &(impl Serialize + ToString)) -> Result<(), Never> {
        self.field(number, &number.to_string());
        Ok(())
    }

    fn variant(&mut self, name: &str, index: u32, variant: &str) {
        self.variants.insert(format!("{name}::{variant}"));
        self.field(&index, variant);
    }

    fn at(&mut self, place: String, value: &(impl Serialize + ?Sized)) -> Result<(), Never> {
        self.path.push(place);
        value.serialize(&mut *self)?;
        self.path.pop();
        Ok(())
    }

    fn list(&mut self, length: Option<usize>) -> List<'_> {
        if let Some(length) = length {
            self.field(&length, &format!("{length} entries"));
        }
        let start = self.fields.len();
        List {
            has_length: length.is_some(),
            index: 0,
            start,
            annotated: self,
        }
    }
}

/// Nothing can fail here, but serde wants an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Never(String);

impl ser::Error for Never {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// A list, a tuple or an array.
pub(super) struct List<'a> {
    annotated: &'a mut Annotated,
    has_length: bool,
    index: usize,
    start: usize,
}

impl List<'_> {
    fn entry(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Never> {
        self.annotated.at(format!("[{}]", self.index), value)?;
        self.index += 1;
        Ok(())
    }

    /// Makes one field of a list of bytes.
    fn end(self) -> Result<(), Never> {
        let fields = &mut self.annotated.fields;
        let entries = fields.get(self.start..).unwrap_or_default();
        if self.index < 2 || entries.iter().any(|field| field.bytes.len() != 1) {
            return Ok(());
        }
        let bytes: Vec<u8> = entries.iter().flat_map(|f| f.bytes.clone()).collect();
        fields.truncate(self.start);
        if self.has_length {
            let field = fields.last_mut().unwrap();
            field.meaning = field.meaning.replace("entries", "bytes");
            field.bytes.extend(bytes);
        } else {
            self.annotated.field(&(), &format!("{} bytes", bytes.len()));
            self.annotated.fields.last_mut().unwrap().bytes = bytes;
        }
        Ok(())
    }
}

/// The named fields of a struct or a variant.
pub(super) struct Named<'a>(&'a mut Annotated);

macro_rules! numbers {
    ($($function:ident: $type:ty),*) => {
        $(fn $function(self, value: $type) -> Result<(), Never> {
            self.number(&value)
        })*
    };
}

impl<'a> ser::Serializer for &'a mut Annotated {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = ser::Impossible<(), Never>;
    type SerializeStruct = Named<'a>;
    type SerializeStructVariant = Named<'a>;

    numbers!(serialize_bool: bool, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);
    numbers!(serialize_u64: u64, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32);
    numbers!(serialize_i64: i64, serialize_f32: f32, serialize_f64: f64, serialize_char: char);

    fn serialize_str(self, text: &str) -> Result<(), Never> {
        self.field(&text, &format!("{text:?}"));
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Never> {
        self.field(&bytes, &format!("{} bytes", bytes.len()));
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Never> {
        self.field(&0_u8, "None");
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        self.field(&1_u8, "Some");
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), Never> {
        self.variant(name, index, variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.variant(name, index, variant);
        self.at(variant.to_string(), value)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<List<'a>, Never> {
        Ok(self.list(length))
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, Never> {
        Ok(self.list(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, Never> {
        Ok(self.list(None))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, Never> {
        self.variant(name, index, variant);
        Ok(self.list(None))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Never> {
        Err(Never("no message has a map".into()))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Named<'a>, Never> {
        Ok(Named(self))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Named<'a>, Never> {
        self.variant(name, index, variant);
        Ok(Named(self))
    }

    fn collect_str<T: Display + ?Sized>(self, text: &T) -> Result<(), Never> {
        self.serialize_str(&text.to_string())
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! lists {
    ($($trait:ident: $function:ident),*) => {
        $(impl ser::$trait for List<'_> {
            type Ok = ();
            type Error = Never;

            fn $function<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
                self.entry(value)
            }

            fn end(self) -> Result<(), Never> {
                List::end(self)
            }
        })*
    };
}

lists!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

macro_rules! named {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Named<'_> {
            type Ok = ();
            type Error = Never;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Never> {
                self.0.at(key.into(), value)
            }

            fn end(self) -> Result<(), Never> {
                Ok(())
            }
        })*
    };
}

named!(SerializeStruct, SerializeStructVariant);
