//! The command-line options.

use std::path::PathBuf;

use clap::Parser;

use crate::impair::Impairment;

/// Holds a meeting on this machine: a room server, a host, a small device and a listener, over real UDP. Prints what
/// happened and which participant heard which. Fails if a participant missed audio it should have received, or received
/// audio it should not have.
#[derive(Debug, Clone, Parser)]
#[command(name = "meeting", version)]
pub struct Options {
    /// Share of the datagrams that the network loses, in percent, each way.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub loss: f64,
    /// Delay of each datagram, in ms, each way.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=500))]
    pub delay: u16,
    /// Largest additional delay, in ms: datagrams overtake each other.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=200))]
    pub jitter: u16,
    /// Approximate length of the meeting; the turns are stretched to fill it.
    #[arg(long, value_name = "S", default_value_t = 24, value_parser = clap::value_parser!(u16).range(18..=300))]
    pub seconds: u16,
    /// Folder for the received audio of each participant, as WAV files.
    #[arg(long, value_name = "DIR", default_value = "target/meeting")]
    pub out: PathBuf,
    /// File for the results as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Folder for the input logs of the server, the host, the listener and the device, including secrets; no logs
    /// without it.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Seed of the network's random events.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The server's port on 127.0.0.1; 0: any that is free.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The host's speech.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/host.wav"),
          hide_default_value = true)]
    pub host_wav: PathBuf,
    /// The device's speech.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/device.wav"),
          hide_default_value = true)]
    pub device_wav: PathBuf,
}

impl Options {
    /// The network's impairment.
    pub fn impairment(&self) -> Impairment {
        Impairment {
            loss: self.loss / 100.0,
            delay_ms: self.delay,
            jitter_ms: self.jitter,
        }
    }
}

/// A meeting cannot be held above this loss.
const MAX_LOSS: f64 = 40.0;

fn percent(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|percent| (0.0..=MAX_LOSS).contains(percent))
        .ok_or_else(|| format!("give a number from 0 to {MAX_LOSS}, such as 10"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Options, clap::Error> {
        let args = args.split_whitespace();
        Options::try_parse_from(std::iter::once("meeting").chain(args))
    }

    #[test]
    fn nothing_needs_to_be_said() {
        let options = parse("").unwrap();
        assert_eq!(options.impairment(), Impairment::default());
        assert!(options.host_wav.is_file() && options.device_wav.is_file());
        assert!(options.seconds <= 25);
    }

    #[test]
    fn a_bad_network_is_described() {
        let options = parse("--loss 10 --delay 30 --jitter 40 --seed 7").unwrap();
        let impairment = options.impairment();
        assert_eq!((impairment.delay_ms, impairment.jitter_ms), (30, 40));
        assert!((impairment.loss - 0.1).abs() < 1e-9);
        assert_eq!(options.seed, 7);
    }

    #[test]
    fn what_makes_no_sense_is_refused_as_a_matter_of_usage() {
        for args in [
            "--loss 41",
            "--loss -1",
            "--loss NaN",
            "--loss ten",
            "--delay 501",
            "--jitter 201",
            "--seconds 3",
            "--port 65536",
            "--what",
            "more",
        ] {
            let error = parse(args).expect_err(args);
            assert_eq!(error.exit_code(), 2, "{args}");
        }
        assert!(
            parse("--loss ten")
                .unwrap_err()
                .to_string()
                .contains("give a number from 0 to 40")
        );
    }
}
