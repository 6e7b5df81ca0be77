//! IVF, the container in which ffmpeg reads and writes VP8: a header, and before each frame its length and its time.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes of the header of a file.
const HEADER: usize = 32;
/// Frames that are longer are none.
const MAX_FRAME: u32 = 2 << 20;

/// Reads the frames of an IVF stream.
#[derive(Debug)]
pub struct IvfReader<R> {
    from: R,
    /// Units of time in a second, as a fraction.
    rate: (u32, u32),
}

/// A frame, and its time in 1/90,000 s.
pub type Frame = (Vec<u8>, u32);

impl<R: AsyncRead + Unpin> IvfReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// Those of `from`; [`io::ErrorKind::InvalidData`] if it is not IVF of VP8.
    pub async fn open(mut from: R) -> io::Result<Self> {
        let mut header = [0; HEADER];
        from.read_exact(&mut header).await?;
        if !header.starts_with(b"DKIF") || header[8..12] != *b"VP80" {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let number = |at: usize| header[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        let rate = (number(16), number(20).max(1));
        Ok(Self { from, rate })
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// Those of the source; [`io::ErrorKind::InvalidData`] if a frame is longer than 2 MiB.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        let len = match self.from.read_u32_le().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            len => len?,
        };
        if len > MAX_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let time = self.from.read_u64_le().await?;
        let mut frame = vec![0; len as usize];
        self.from.read_exact(&mut frame).await?;
        let (rate, scale) = (u64::from(self.rate.0.max(1)), u64::from(self.rate.1));
        let time = time.wrapping_mul(90_000).wrapping_mul(scale) / rate;
        // Modulo 2^32, as RTP has it.
        Ok(Some((frame, time as u32)))
    }
}

/// The header of an IVF file of VP8, which begins with this key frame. Times are in 1/90,000 s.
pub fn header(key_frame: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(b"DKIF");
    header[6] = HEADER as u8;
    header[8..12].copy_from_slice(b"VP80");
    // Width and height stand behind the start code (RFC 6386, section 9.1); the two bits above them are scaling.
    if let Some(&[w0, w1, h0, h1]) = key_frame.get(6..10).and_then(|size| size.first_chunk()) {
        header[12..16].copy_from_slice(&[w0, w1 & 0x3F, h0, h1 & 0x3F]);
    }
    header[16..20].copy_from_slice(&90_000_u32.to_le_bytes());
    header[20..24].copy_from_slice(&1_u32.to_le_bytes());
    header
}

/// What stands before a frame.
pub fn frame_header(frame: &[u8], time: u64) -> [u8; 12] {
    let mut header = [0; 12];
    header[..4].copy_from_slice(&u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes());
    header[4..].copy_from_slice(&time.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read() {
        let key = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x42, 0x68, 0x01, 7];
        let mut file = header(&key).to_vec();
        assert_eq!(file[12..16], [0x80, 0x02, 0x68, 0x01]);
        for time in [0, 3_000] {
            file.extend(frame_header(&key, time));
            file.extend(key);
        }
        let mut reader = IvfReader::open(&file[..]).await.unwrap();
        for time in [0, 3_000] {
            assert_eq!(reader.next().await.unwrap(), Some((key.to_vec(), time)));
        }
        assert_eq!(reader.next().await.unwrap(), None);
        let cut = &file[..file.len() - 1];
        let mut reader = IvfReader::open(cut).await.unwrap();
        reader.next().await.unwrap();
        assert!(reader.next().await.is_err());
        assert!(
            IvfReader::open(&b"no IVF, but as long as the header of one"[..])
                .await
                .is_err()
        );
    }
}
