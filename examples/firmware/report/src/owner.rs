//! The owner of each source file.

use std::fmt;
use std::path::Path;

use crate::image::Frame;

/// A part of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Core,
    Crypto,
    Codec,
    Adapter,
    NetworkStack,
    Executor,
    Board,
    Application,
    Library,
    Unattributed,
}

impl Part {
    pub const ALL: [Self; 10] = [
        Self::Core,
        Self::Crypto,
        Self::Codec,
        Self::Adapter,
        Self::NetworkStack,
        Self::Executor,
        Self::Board,
        Self::Application,
        Self::Library,
        Self::Unattributed,
    ];
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core => "`parlour-core`: protocol, room, jitter buffer, mixer",
            Self::Crypto => {
                "cryptography: X25519, ChaCha20-Poly1305, BLAKE2s, Noise, random numbers"
            }
            Self::Codec => "codecs: G.711, resampler, Opus",
            Self::Adapter => "`parlour-embassy`",
            Self::NetworkStack => "network stack: embassy-net, smoltcp",
            Self::Executor => "executor, timers, synchronisation",
            Self::Board => "board: network driver, UART, interrupts, semihosting",
            Self::Application => "application, without its recording",
            Self::Library => {
                "Rust's library: formatting, 64-bit and floating-point arithmetic, copying"
            }
            Self::Unattributed => "not attributed",
        })
    }
}

/// The owner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Of(Part),
    /// Rust's library, and small general-purpose crates: attributed to their callers.
    Shared,
    Unknown,
}

const CRYPTO: &[&str] = &[
    "aead",
    "blake2",
    "block-buffer",
    "chacha20",
    "chacha20poly1305",
    "cipher",
    "clatter",
    "crypto-common",
    "curve25519-dalek",
    "digest",
    "inout",
    "poly1305",
    "ppv-lite86",
    "rand_chacha",
    "rand_core",
    "universal-hash",
    "x25519-dalek",
];
const CODEC: &[&str] = &["opus-rs", "libm"];
const NETWORK: &[&str] = &["embassy-net", "embassy-net-driver", "managed", "smoltcp"];
const EXECUTOR: &[&str] = &[
    "critical-section",
    "embassy-executor",
    "embassy-futures",
    "embassy-sync",
    "embassy-time",
    "embassy-time-driver",
    "embassy-time-queue-utils",
];
const BOARD: &[&str] = &[
    "cortex-m",
    "cortex-m-rt",
    "riscv",
    "riscv-rt",
    "semihosting",
    "virtio-drivers",
];
/// A crate that only the core uses.
const CORE: &[&str] = &["base64ct"];
/// The core's files with audio codecs.
const CODEC_FILES: &[&str] = &["codec", "decoder", "g711", "opus", "resample"];

/// Crates of Rust's library, without an operating system.
const LIBRARY: &[&str] = &[
    "alloc",
    "compiler-builtins",
    "core",
    "portable-simd",
    "stdarch",
];

/// The owner of `file`; `repository` is this one.
pub fn source(file: &Path, repository: &Path) -> Source {
    if let Ok(file) = file.strip_prefix(repository) {
        return Source::Of(own(file));
    }
    let parts: Vec<_> = file.iter().filter_map(|part| part.to_str()).collect();
    let library = parts.iter().position(|part| *part == "library");
    let within = library.and_then(|at| parts.get(at + 1));
    if within.is_some_and(|name| LIBRARY.contains(name)) {
        return Source::Shared;
    }
    // …/registry/src/INDEX/NAME-VERSION/…
    let package = parts
        .iter()
        .position(|part| *part == "registry")
        .and_then(|at| parts.get(at + 3));
    let Some((name, _)) = package.and_then(|package| package.rsplit_once('-')) else {
        return Source::Unknown;
    };
    let lists = [
        (CRYPTO, Part::Crypto),
        (CODEC, Part::Codec),
        (NETWORK, Part::NetworkStack),
        (EXECUTOR, Part::Executor),
        (BOARD, Part::Board),
        (CORE, Part::Core),
    ];
    let found = lists.iter().find(|(names, _)| names.contains(&name));
    found.map_or(Source::Shared, |(_, part)| Source::Of(*part))
}

fn own(file: &Path) -> Part {
    let parts: Vec<_> = file.iter().filter_map(|part| part.to_str()).collect();
    match *parts.as_slice() {
        ["core", "src", "audio", name, ..]
            if CODEC_FILES.contains(&name.trim_end_matches(".rs")) =>
        {
            Part::Codec
        }
        ["core", ..] => Part::Core,
        ["adapters", ..] => Part::Adapter,
        [.., "board" | "machine", "src", _] => Part::Board,
        _ => Part::Application,
    }
}

/// The owner of an instruction, and its function: the innermost function with an owner of its own; none if all are
/// shared.
pub fn owner<'f>(frames: &'f [Frame], repository: &Path) -> (Part, Option<&'f Frame>) {
    let mut shared = false;
    for frame in frames {
        match source(&frame.file, repository) {
            Source::Of(part) => return (part, Some(frame)),
            Source::Shared => shared = true,
            Source::Unknown => {}
        }
    }
    let part = if shared {
        Part::Library
    } else {
        Part::Unattributed
    };
    (part, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(file: &str) -> Frame {
        Frame {
            file: file.into(),
            line: 1,
            function: String::new(),
        }
    }

    #[test]
    fn a_file_belongs_to_its_crate() {
        let of = |file: &str| source(Path::new(file), Path::new("/parlour"));
        assert_eq!(
            of("/parlour/core/src/client/api.rs"),
            Source::Of(Part::Core)
        );
        assert_eq!(
            of("/parlour/core/src/audio/jitter/delay.rs"),
            Source::Of(Part::Core)
        );
        assert_eq!(
            of("/parlour/core/src/audio/g711.rs"),
            Source::Of(Part::Codec)
        );
        assert_eq!(
            of("/parlour/core/src/audio/opus/packet.rs"),
            Source::Of(Part::Codec)
        );
        assert_eq!(
            of("/parlour/adapters/embassy/src/room.rs"),
            Source::Of(Part::Adapter)
        );
        assert_eq!(
            of("/c/registry/src/x-1/embassy-net-0.9.1/src/udp.rs"),
            Source::Of(Part::NetworkStack)
        );
        assert_eq!(
            of("/c/registry/src/x-1/heapless-0.9.3/src/vec.rs"),
            Source::Shared
        );
        assert_eq!(
            of("/r/lib/rustlib/src/rust/library/core/src/fmt/mod.rs"),
            Source::Shared
        );
        assert_eq!(of("/elsewhere/a.rs"), Source::Unknown);
    }

    #[test]
    fn shared_code_belongs_to_its_caller() {
        let library = frame("/r/library/core/src/slice/mod.rs");
        let caller = frame("/parlour/core/src/wire/frame.rs");
        let root = frame("/parlour/adapters/embassy/src/runner.rs");
        let of = |frames: &[Frame]| owner(frames, Path::new("/parlour")).0;
        assert_eq!(of(&[library.clone(), caller, root]), Part::Core);
        assert_eq!(of(&[library]), Part::Library);
        assert_eq!(of(&[]), Part::Unattributed);
    }
}
