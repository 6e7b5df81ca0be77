//! Services of QEMU's host: arguments, files, randomness, exit.

use core::ffi::CStr;

use rand_core::{CryptoRng, RngCore};
use semihosting::fs;
pub use semihosting::io::Error;
use semihosting::io::{ErrorKind, Read as _, Write as _};

/// A file of the host.
pub struct File(fs::File);

impl File {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// The host's error.
    pub fn create(path: &CStr) -> Result<Self, Error> {
        fs::File::create(path).map(Self)
    }

    /// Opens the file to read it.
    ///
    /// # Errors
    /// The host's error: there is none, for example.
    pub fn open(path: &CStr) -> Result<Self, Error> {
        fs::File::open(path).map(Self)
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// The host's error, or the file has fewer.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.read_exact(bytes)
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// The host's error.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.write_all(bytes)
    }
}

/// The host's random numbers.
pub struct HostRng(fs::File);

impl HostRng {
    /// Opens the host's `/dev/urandom`.
    ///
    /// # Errors
    /// The host has no `/dev/urandom`.
    pub fn open() -> Result<Self, Error> {
        fs::File::open(c"/dev/urandom").map(Self)
    }
}

impl RngCore for HostRng {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        // Continuing without randomness would reveal all secrets.
        self.0
            .read_exact(bytes)
            .expect("the host's random numbers end");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for HostRng {}

/// Ends QEMU with this exit status.
pub fn exit(code: u8) -> ! {
    semihosting::process::exit(code.into())
}

/// Passes each argument of `-semihosting-config arg=…` to `take`; together they have at most 2 KiB.
///
/// # Errors
/// The arguments are longer, or not UTF-8.
pub fn arguments(mut take: impl FnMut(&str)) -> Result<(), Error> {
    let arguments = semihosting::experimental::env::args::<2_048>()?;
    for argument in &arguments {
        take(argument.map_err(|_| ErrorKind::InvalidData)?);
    }
    Ok(())
}
