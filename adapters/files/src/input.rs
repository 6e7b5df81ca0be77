//! Raw PCM from a pipe.

use std::io::Read;

use tokio::sync::mpsc;

/// 20 ms at 48 kHz.
const PIECE: usize = 960;

/// Pieces of raw PCM, 16 bits, mono, little endian, of at most 20 ms at 48 kHz, until the input ends. A thread reads them: it
/// waits where they are not taken, and does not keep the program from ending.
///
/// ```no_run
/// # async fn example() {
/// let mut pieces = parlour_files::raw_pcm(std::io::stdin());
/// while let Some(pcm) = pieces.recv().await {
///     println!("{} samples", pcm.len());
/// }
/// # }
/// ```
pub fn raw_pcm(mut input: impl Read + Send + 'static) -> mpsc::Receiver<Vec<i16>> {
    let (sender, pieces) = mpsc::channel(1);
    std::thread::spawn(move || {
        let (mut bytes, mut filled) = ([0; 2 * PIECE], 0);
        while let Ok(more) = input.read(&mut bytes[filled..]) {
            filled += more;
            if more > 0 && filled < bytes.len() {
                continue;
            }
            let samples = bytes[..filled].chunks_exact(2);
            let pcm = samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
            if sender.blocking_send(pcm.collect()).is_err() || more == 0 {
                return;
            }
            filled = 0;
        }
    });
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_input_in_odd_pieces_is_read_whole() {
        let bytes: Vec<u8> = (0..10_001_u32).map(|n| n as u8).collect();
        let (first, second) = bytes.split_at(3_001);
        let input =
            std::io::Cursor::new(first.to_vec()).chain(std::io::Cursor::new(second.to_vec()));
        let mut pieces = raw_pcm(input);
        let mut read = Vec::new();
        while let Some(pcm) = pieces.recv().await {
            assert!(pcm.len() <= PIECE);
            read.extend(pcm.into_iter().flat_map(i16::to_le_bytes));
        }
        assert_eq!(read, bytes[..10_000]);
    }
}
