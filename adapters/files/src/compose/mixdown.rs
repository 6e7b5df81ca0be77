//! The recordings of a job as blocks of sound, one after another.

use std::collections::VecDeque;

use parlour_tokio::core::audio::mixer::Mixer;

use super::clock::Clock;
use super::voice::Voice;
use super::{BLOCK, ComposeError, Input, Job, samples};

/// See the [module](self). Only the recordings of the moment are open.
#[derive(Debug)]
pub(super) struct Mixdown<'a> {
    /// Those that have not begun, by their beginnings.
    waiting: VecDeque<(&'a Input, &'a [usize])>,
    playing: Vec<Playing<'a>>,
    at: i64,
    end: i64,
    /// For each channel, the mix of a block.
    mixes: Vec<Mix>,
}

#[derive(Debug)]
struct Playing<'a> {
    voice: Voice,
    participant: &'a str,
    channels: &'a [usize],
    block: Vec<i16>,
}

#[derive(Debug)]
struct Mix {
    sums: Vec<i32>,
    pcm: Vec<i16>,
}

impl<'a> Mixdown<'a> {
    /// Of a job with so many channels; to which of them each input belongs.
    pub(super) fn new(job: &'a Job, channels: usize, of: &'a [Vec<usize>]) -> Self {
        let mut waiting: Vec<_> = job
            .inputs
            .iter()
            .zip(of.iter().map(Vec::as_slice))
            .filter(|(_, channels)| !channels.is_empty())
            .collect();
        waiting.sort_by_key(|(input, _)| input.start_ms);
        let mix = || Mix {
            sums: vec![0; BLOCK],
            pcm: vec![0; BLOCK],
        };
        Self {
            waiting: waiting.into(),
            playing: Vec::new(),
            at: samples(job.from_ms),
            end: samples(job.to_ms),
            mixes: std::iter::repeat_with(mix).take(channels).collect(),
        }
    }

    /// Replaces `block` by the next one, interleaved: [`BLOCK`] samples of each channel, fewer at the end. `false` behind that.
    pub(super) fn next(&mut self, block: &mut Vec<i16>) -> Result<bool, ComposeError> {
        block.clear();
        let left = usize::try_from(self.end - self.at).unwrap_or(0);
        let len = BLOCK.min(left);
        if len == 0 {
            return Ok(false);
        }
        self.open()?;
        let at = self.at;
        let mut failed = None;
        self.playing.retain_mut(|playing| {
            let read = playing.voice.read(at, &mut playing.block);
            // Its last samples may be in this block.
            let is_silent = playing.block.iter().all(|sample| *sample == 0);
            match read {
                Ok(is_more) => is_more || !is_silent,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        for (channel, mix) in self.mixes.iter_mut().enumerate() {
            let mut mixer = Mixer::new(&mut mix.sums);
            let own = self.playing.iter();
            for playing in own.filter(|playing| playing.channels.contains(&channel)) {
                // All blocks have one length, so that neither can fail.
                let _ = mixer.add(&playing.block);
            }
            let _ = mixer.finish(&mut mix.pcm);
        }
        for index in 0..len {
            let samples = self.mixes.iter().map(|mix| mix.pcm.get(index));
            block.extend(samples.flatten());
        }
        self.at += len as i64;
        Ok(true)
    }

    /// The participants of the block that was given last, and what they say in it.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (&'a str, &[i16])> {
        let playing = self.playing.iter();
        playing.map(|playing| (playing.participant, playing.block.as_slice()))
    }

    /// Opens what begins within the next block; or earlier, as far as its clock may be wrong.
    fn open(&mut self) -> Result<(), ComposeError> {
        const EARLY: i64 = 5 * 48_000;
        let until = self.at.saturating_add(BLOCK as i64 + EARLY);
        while let Some((input, channels)) = self.waiting.front() {
            let start = samples(input.start_ms);
            if start > until {
                break;
            }
            self.playing.push(Playing {
                voice: Voice::open(&input.path, Clock::new(&input.anchors), start)?,
                participant: &input.participant,
                channels,
                block: vec![0; BLOCK],
            });
            self.waiting.pop_front();
        }
        Ok(())
    }
}
