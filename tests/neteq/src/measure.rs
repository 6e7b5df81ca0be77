//! How what was heard compares with what was said, from the sound alone and in the same way for everybody.

use std::io::Write as _;
use std::process::{Command, Stdio};

use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::resample::Resampler;
use realfft::RealFftPlanner;

use crate::Error;
use crate::network::FASTEST;

const RATE: SampleRate = SampleRate::Hz16000;
const HZ: usize = RATE.hz() as usize;
/// The parts of speech whose delay is measured, and how often.
const WINDOW: usize = HZ * 2 / 5;
const HOP: usize = HZ / 5;
/// The longest delay.
const FARTHEST: usize = HZ;
/// The correlation from which on a window was found.
const FOUND: f64 = 0.6;
/// What PESQ compares at once.
const PIECE: usize = 8 * HZ;

/// Delays in ms, without that of the network's fastest packets.
pub struct Measured {
    pub delay: f64,
    pub delay_p95: f64,
    /// PESQ-WB, of 1 to 4.64; `None` without its program.
    pub quality: Option<f64>,
}

pub fn measure(said: &[i16], heard: &[i16]) -> Result<Measured, Error> {
    let (said, heard) = (narrow(said)?, narrow(heard)?);
    let lags = lags(&said, &heard);
    let mut delays: Vec<f64> = lags
        .iter()
        .map(|(_, lag)| *lag as f64 * 1_000.0 / HZ as f64 - FASTEST as f64 / 1_000.0)
        .collect();
    delays.sort_by(f64::total_cmp);
    let p95 = delays
        .get(delays.len() * 95 / 100)
        .ok_or("nothing of the speech was heard")?;
    Ok(Measured {
        delay: delays.iter().sum::<f64>() / delays.len() as f64,
        delay_p95: *p95,
        quality: quality(&pieces(&said, &heard, &lags))?,
    })
}

fn narrow(pcm: &[i16]) -> Result<Vec<i16>, Error> {
    let from = SampleRate::Hz48000;
    let mut resampler = Resampler::new(from, RATE);
    let mut narrow = Vec::with_capacity(pcm.len() / 3);
    for frame in pcm.chunks_exact(from.samples(20)) {
        let mut out = [0; RATE.samples(20)];
        resampler.process(frame, &mut out)?;
        narrow.extend_from_slice(&out);
    }
    Ok(narrow)
}

fn energy(pcm: &[i16]) -> f64 {
    pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum()
}

/// Where windows with speech begin, and by how many samples they are heard later.
fn lags(said: &[i16], heard: &[i16]) -> Vec<(usize, usize)> {
    let size = (2 * WINDOW + FARTHEST).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (
        planner.plan_fft_forward(size),
        planner.plan_fft_inverse(size),
    );
    let spectrum = |pcm: &[i16]| {
        let mut padded = vec![0.0; size];
        for (padded, sample) in padded.iter_mut().zip(pcm) {
            *padded = f64::from(*sample);
        }
        let mut spectrum = forward.make_output_vec();
        // All lengths are the planner's.
        forward.process(&mut padded, &mut spectrum).ok();
        spectrum
    };
    let loud = energy(said) / said.len() as f64 / 100.0 * WINDOW as f64;
    let windows = (0..said
        .len()
        .min(heard.len())
        .saturating_sub(WINDOW + FARTHEST))
        .step_by(HOP);
    let find = |start: usize| {
        let (window, near) = (
            &said[start..][..WINDOW],
            &heard[start..][..WINDOW + FARTHEST],
        );
        let own = energy(window);
        if own < loud {
            return None;
        }
        let mut product = spectrum(near);
        for (near, window) in product.iter_mut().zip(spectrum(window)) {
            *near *= window.conj();
        }
        // The inverse wants real numbers there.
        if let [first, .., last] = product.as_mut_slice() {
            (first.im, last.im) = (0.0, 0.0);
        }
        let mut correlation = inverse.make_output_vec();
        inverse.process(&mut product, &mut correlation).ok();
        let mut there = energy(&near[..WINDOW]);
        let mut best = (0.0, 0);
        for lag in 0..FARTHEST {
            let likeness = correlation[lag] / size as f64 / (own * there.max(1.0)).sqrt();
            if likeness > best.0 {
                best = (likeness, lag);
            }
            there += f64::from(near[lag + WINDOW]).powi(2) - f64::from(near[lag]).powi(2);
        }
        (best.0 >= FOUND).then_some((start, best.1))
    };
    windows.filter_map(find).collect()
}

/// What was said and heard, cut at the median of a piece's lags.
fn pieces<'a>(
    said: &'a [i16],
    heard: &'a [i16],
    lags: &[(usize, usize)],
) -> Vec<(&'a [i16], &'a [i16])> {
    let cut = |start: usize| {
        let of_piece = lags
            .iter()
            .filter(|(at, _)| (start..start + PIECE - WINDOW).contains(at));
        let mut lags: Vec<usize> = of_piece.map(|(_, lag)| *lag).collect();
        lags.sort_unstable();
        let lag = lags.get(lags.len() / 2)?;
        let heard = heard.get(start + lag..)?.get(..PIECE)?;
        Some((said.get(start..)?.get(..PIECE)?, heard))
    };
    (0..said.len()).step_by(PIECE).filter_map(cut).collect()
}

/// The mean PESQ of pieces, as the Python module `pesq` computes it.
fn quality(pieces: &[(&[i16], &[i16])]) -> Result<Option<f64>, Error> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/src/quality.py");
    let mut child = Command::new(python())
        .args([program, &PIECE.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = Vec::new();
    for pcm in pieces.iter().flat_map(|(said, heard)| [said, heard]) {
        input.extend(pcm.iter().flat_map(|sample| sample.to_le_bytes()));
    }
    // A program that cannot begin reads nothing.
    let _ = child
        .stdin
        .take()
        .ok_or("its input is piped")?
        .write_all(&input);
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.trim().parse().ok())
}

/// Python, which has `pesq` and `numpy`: `PARLOUR_PYTHON`, such as that of a virtual environment.
pub fn python() -> String {
    std::env::var("PARLOUR_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}
