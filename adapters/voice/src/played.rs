//! The loudspeaker's side.

use rtrb::{Consumer, Producer, RingBuffer};

/// What may wait for the microphone, in pieces of 10 ms: after a longer pause of it the echo canceller begins anew anyway.
const WAITING: usize = 50;

/// What a loudspeaker plays, for the [`Voice`](crate::Voice) whose microphone hears it.
#[derive(Debug)]
pub struct Played {
    ring: Producer<i16>,
}

impl Played {
    /// Tells of mono PCM at the loudspeaker's rate, of any length, that is about to be played. Tell of silence, too. While the
    /// microphone does not listen, at most 500 ms wait, and what comes after is left out.
    ///
    /// Never waits and never allocates.
    pub fn play(&mut self, pcm: &[i16]) {
        let fitting = self.ring.slots().min(pcm.len());
        if let Ok(chunk) = self.ring.write_chunk_uninit(fitting) {
            chunk.fill_from_iter(pcm.iter().copied());
        }
    }
}

/// The other end, with the samples of 10 ms.
pub(crate) fn ring(samples: usize) -> (Played, Heard) {
    let (ring, rest) = RingBuffer::new(WAITING * samples);
    let piece = vec![0; samples];
    (Played { ring }, Heard { ring: rest, piece })
}

/// What was played since the microphone was last heard.
#[derive(Debug)]
pub(crate) struct Heard {
    ring: Consumer<i16>,
    piece: Vec<i16>,
}

impl Heard {
    /// The next 10 ms, if they are whole.
    pub(crate) fn next(&mut self) -> Option<&[i16]> {
        let chunk = self.ring.read_chunk(self.piece.len()).ok()?;
        for (sample, read) in self.piece.iter_mut().zip(chunk) {
            *sample = read;
        }
        Some(&self.piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_whole_and_in_order() {
        let (mut played, mut heard) = ring(80);
        let pcm: Vec<i16> = (0..200).collect();
        played.play(&pcm[..50]);
        assert_eq!(heard.next(), None);
        played.play(&pcm[50..]);
        assert_eq!(heard.next(), Some(&pcm[..80]));
        assert_eq!(heard.next(), Some(&pcm[80..160]));
        assert_eq!(heard.next(), None);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let (mut played, mut heard) = ring(80);
        played.play(&[1; 80 * WAITING - 1]);
        played.play(&[2; 80]);
        for _ in 1..WAITING {
            assert_eq!(heard.next(), Some(&[1; 80][..]));
        }
        assert_eq!(heard.next().map(|piece| piece[79]), Some(2));
        assert_eq!(heard.next(), None);
    }
}
