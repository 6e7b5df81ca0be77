//! Arrays of bytes in messages.

use core::fmt;

use serde::de::{self, Deserializer, SeqAccess};

/// Reads `N` bytes in a loop. serde's implementation for arrays is unrolled, with a separate step for each byte, which
/// costs a microcontroller flash.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    let mut bytes = [0; N];
    read(&mut bytes, deserializer)?;
    Ok(bytes)
}

/// The same for all lengths.
fn read<'de, D: Deserializer<'de>>(bytes: &mut [u8], deserializer: D) -> Result<(), D::Error> {
    struct Visitor<'a>(&'a mut [u8]);

    impl<'de> de::Visitor<'de> for Visitor<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} bytes", self.0.len())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
            for (index, byte) in self.0.iter_mut().enumerate() {
                let next = sequence.next_element()?;
                *byte = next.ok_or_else(|| de::Error::invalid_length(index, &"more bytes"))?;
            }
            Ok(())
        }
    }

    let len = bytes.len();
    deserializer.deserialize_tuple(len, Visitor(bytes))
}
