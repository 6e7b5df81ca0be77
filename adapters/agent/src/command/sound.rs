//! The sound of a program, as it comes: raw, or WAV whose header does not know the length yet.

use crate::engine::EngineError;

/// Chunks before the sound are skipped up to this length altogether.
const MAX_HEADER: usize = 64 * 1024;

/// Takes bytes in pieces of any length, and gives samples.
#[derive(Debug)]
pub(super) struct Sound {
    /// The rate, once it is known.
    hz: Option<u32>,
    /// Bytes not taken yet: of the header, or half a sample.
    rest: Vec<u8>,
    is_header: bool,
    is_empty: bool,
}

impl Sound {
    pub(super) fn raw(hz: u32) -> Self {
        Self {
            hz: Some(hz),
            is_header: false,
            ..Self::wav()
        }
    }

    pub(super) fn wav() -> Self {
        Self {
            hz: None,
            rest: Vec::new(),
            is_header: true,
            is_empty: true,
        }
    }

    /// Whether not a byte has come.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Appends what the next bytes hold to `pcm`; gives the sample rate once the header is read.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        pcm: &mut Vec<i16>,
    ) -> Result<Option<u32>, EngineError> {
        self.is_empty &= bytes.is_empty();
        self.rest.extend_from_slice(bytes);
        if self.is_header {
            match header(&self.rest)? {
                Some((hz, len)) => {
                    self.hz = Some(hz);
                    self.is_header = false;
                    self.rest.drain(..len);
                }
                None if self.rest.len() > MAX_HEADER => {
                    return Err(garbage(
                        "the program's WAV has no sound in its first 64 KiB",
                    ));
                }
                None => return Ok(None),
            }
        }
        if self.hz.is_some_and(|hz| !(4_000..=192_000).contains(&hz)) {
            return Err(garbage("the program's sound has not 4 to 192 kHz"));
        }
        let (samples, rest) = self.rest.as_chunks::<2>();
        pcm.extend(samples.iter().map(|sample| i16::from_le_bytes(*sample)));
        self.rest = rest.to_vec();
        Ok(self.hz)
    }
}

fn garbage(what: &'static str) -> EngineError {
    EngineError::Garbage { what }
}

/// The sample rate, and the length of all before the sound; `None` if more bytes are needed.
fn header(bytes: &[u8]) -> Result<Option<(u32, usize)>, EngineError> {
    let Some((riff, _)) = bytes.split_first_chunk::<12>() else {
        return Ok(None);
    };
    if !riff.starts_with(b"RIFF") || !riff.ends_with(b"WAVE") {
        return Err(garbage("the program's sound is no WAV"));
    }
    let (mut hz, mut at) = (None, riff.len());
    while let Some((chunk, body)) = bytes
        .get(at..)
        .and_then(|rest| rest.split_first_chunk::<8>())
    {
        let [i0, i1, i2, i3, l0, l1, l2, l3] = *chunk;
        at += chunk.len();
        match &[i0, i1, i2, i3] {
            b"data" => {
                return match hz {
                    Some(hz) => Ok(Some((hz, at))),
                    None => Err(garbage("the program's WAV does not say its format")),
                };
            }
            b"fmt " => {
                let Some((format, _)) = body.split_first_chunk::<16>() else {
                    return Ok(None);
                };
                let [_, _, channels, _, h0, h1, h2, h3, _, _, _, _, _, _, bits, _] = *format;
                if (channels, bits) != (1, 16) {
                    return Err(garbage("the program's WAV is not mono with 16 bits"));
                }
                hz = Some(u32::from_le_bytes([h0, h1, h2, h3]));
            }
            _ => {}
        }
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        at = at.saturating_add(len).saturating_add(len % 2);
    }
    if at > MAX_HEADER {
        return Err(garbage(
            "the program's WAV has no sound in its first 64 KiB",
        ));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wav(hz: u32, extra: &[u8], pcm: &[i16]) -> Vec<u8> {
        let mut bytes = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        bytes.extend(hz.to_le_bytes());
        bytes.extend((hz * 2).to_le_bytes());
        bytes.extend([2, 0, 16, 0]);
        if !extra.is_empty() {
            bytes.extend(b"LIST");
            bytes.extend((extra.len() as u32).to_le_bytes());
            bytes.extend(extra);
            bytes.extend(vec![0; extra.len() % 2]);
        }
        // As of a program that does not know the length yet.
        bytes.extend(b"data\xff\xff\xff\x7f");
        bytes.extend(pcm.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let refused = |bytes: &[u8]| Sound::wav().take(bytes, &mut Vec::new()).unwrap_err();
        assert!(refused(b"<html><body>").to_string().contains("no WAV"));
        let mut stereo = wav(22_050, &[], &[]);
        stereo[22] = 2;
        assert!(refused(&stereo).to_string().contains("not mono"));
        let slow = wav(1, &[], &[]);
        assert!(refused(&slow).to_string().contains("192 kHz"));
        let headless = b"RIFF....WAVEdata\0\0\0\0";
        assert!(refused(headless).to_string().contains("format"));
        let endless = b"RIFF....WAVELIST\xff\xff\xff\xff";
        assert!(refused(endless).to_string().contains("64 KiB"));
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_are_the_same_sound(
            pcm in prop::collection::vec(any::<i16>(), 0..500),
            extra in prop::collection::vec(any::<u8>(), 0..50),
            piece in 1..100_usize,
        ) {
            let (mut sound, mut out, mut hz) = (Sound::wav(), Vec::new(), None);
            for piece in wav(22_050, &extra, &pcm).chunks(piece) {
                hz = sound.take(piece, &mut out).unwrap();
            }
            prop_assert_eq!(hz, Some(22_050));
            prop_assert_eq!(out, pcm);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0..60_usize) {
            let mut whole = wav(22_050, &[], &[]);
            whole.truncate(cut);
            whole.extend(bytes);
            let _ = Sound::wav().take(&whole, &mut Vec::new());
        }
    }
}
