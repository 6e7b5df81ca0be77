//! What is logged, and how to change that while the server runs.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// Changes what is logged. Clones are the same.
#[derive(Debug, Clone)]
pub struct LogHandle(reload::Handle<EnvFilter, Registry>);

/// Logs to stderr from now on, as `config` says, perhaps in colours.
///
/// # Errors
/// If the process logs already.
pub fn init(config: &Log, is_coloured: bool) -> Result<LogHandle, TryInitError> {
    let (filter, handle) = reload::Layer::new(filter(config));
    let lines = fmt::layer()
        .with_ansi(is_coloured)
        .with_writer(std::io::stderr);
    let lines = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let logged = tracing_subscriber::registry().with(filter).with(lines);
    logged.try_init()?;
    Ok(LogHandle(handle))
}

impl LogHandle {
    /// Logs what `config` says from now on. The form of the lines stays.
    pub fn set(&self, config: &Log) {
        // It fails only after the end of the log itself.
        let _ = self.0.reload(filter(config));
    }
}

/// The configuration is checked when it is read.
fn filter(config: &Log) -> EnvFilter {
    EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"))
}
