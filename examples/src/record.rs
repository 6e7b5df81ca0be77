//! The input logs of the participants, on request.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::Context as _;
use parlour_record::Sink;

/// The folder of the logs, and the logs so far.
#[derive(Debug)]
pub struct Record {
    folder: Option<PathBuf>,
    sinks: Mutex<Vec<(String, Sink)>>,
}

impl Record {
    /// Logs in `folder`, which is created; no logs without it.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn new(folder: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(Self {
            folder,
            sinks: Mutex::default(),
        })
    }

    /// The log of `name`.
    ///
    /// # Errors
    /// The log cannot be created.
    pub fn sink(&self, name: &str) -> anyhow::Result<Option<Sink>> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let file = folder.join(format!("{name}.log"));
        let sink = Sink::file(&file).with_context(|| format!("cannot make {}", file.display()))?;
        let mut sinks = self.sinks.lock().unwrap_or_else(|sinks| sinks.into_inner());
        sinks.push((name.to_owned(), sink.clone()));
        Ok(Some(sink))
    }

    /// Flushes all logs.
    ///
    /// # Errors
    /// A log is not complete.
    pub fn finish(&self) -> anyhow::Result<()> {
        let sinks = self.sinks.lock().unwrap_or_else(|sinks| sinks.into_inner());
        for (name, sink) in &*sinks {
            sink.flush()
                .with_context(|| format!("{name}'s input log is not whole"))?;
        }
        Ok(())
    }
}
