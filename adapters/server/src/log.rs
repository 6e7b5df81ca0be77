//! What is logged, and how to change that while the server runs.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

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
    std::panic::set_hook(Box::new(log_panic));
    Ok(LogHandle(handle))
}

/// A panic is a line as all others are, so that whatever reads them sees it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let has_backtrace = backtrace.status() == BacktraceStatus::Captured;
    tracing::error!(
        panic = panic.payload_as_str(),
        place,
        thread = thread.name(),
        backtrace = has_backtrace.then(|| backtrace.to_string()),
        "a thread has panicked"
    );
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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_logged_with_its_message_place_and_thread() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = fmt().json().with_writer(move || writer.clone()).finish();
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        let thread = std::thread::Builder::new().name("worker-7".to_owned());
        let panicking = thread.spawn(|| {
            tracing::subscriber::with_default(log, || panic!("this test wants {}", "it"));
        });
        let panicked = panicking.unwrap().join().is_err();
        std::panic::set_hook(former);
        assert!(panicked);
        let logged = lines.0.lock().unwrap();
        let line: serde_json::Value = serde_json::from_slice(&logged).unwrap();
        let fields = &line["fields"];
        assert_eq!(fields["panic"], "this test wants it");
        assert_eq!(fields["thread"], "worker-7");
        let place = fields["place"].as_str().unwrap();
        assert!(place.contains("log.rs:"), "{place}");
    }
}
