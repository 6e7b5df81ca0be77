//! `parlour db`: backups of the server's database.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use parlour_server::store::{self, BackupError, LockError, OpenError, Place};
use parlour_server::time::Timestamp;
use serde_json::json;

use super::ask::confirm;
use super::config::Which;
use super::failure::{Exit, Failure};
use super::output::{Output, printable};
use super::{block_on, progress};

/// Copies, restores and checks the server's database.
#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    Backup(Backup),
    Restore(Restore),
    Check(Check),
}

/// Copies the database and its key file into a folder; a server may use the database meanwhile.
///
/// Both files together open everything: keep them where nobody else reads them.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  parlour db backup --config parlour.toml /var/backups/parlour"
)]
pub(crate) struct Backup {
    #[command(flatten)]
    which: Which,
    /// The folder; that of the configuration, if it is left out.
    folder: Option<PathBuf>,
}

/// Puts a backup in the place of the database, which no server may use meanwhile.
///
/// The backup is checked first. The former database is moved aside, and so is its key file if the backup has another one.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  parlour db restore --config parlour.toml --yes parlour-2026-11-05T09-03-11.250Z.db"
)]
pub(crate) struct Restore {
    #[command(flatten)]
    which: Which,
    /// The database of the backup; its key file is beside it, with the ending `.key`.
    backup: PathBuf,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

/// Looks for damage, and for history that is not as it should be.
///
/// A server may use the database meanwhile. The command fails if it finds something.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  parlour db check --config parlour.toml")]
pub(crate) struct Check {
    #[command(flatten)]
    which: Which,
}

impl Db {
    /// Does what is asked for.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Backup(command) => command.run(output),
            Self::Restore(command) => command.run(output),
            Self::Check(command) => command.run(output),
        }
    }
}

fn failed(error: BackupError) -> Failure {
    let exit = match &error {
        BackupError::Lock(LockError::Held { .. }) => Exit::Conflict,
        BackupError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Exit::NotFound
        }
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}

impl Backup {
    fn run(&self, output: &Output) -> Result<(), Failure> {
        let config = self.which.load()?;
        let folder = self.folder.clone().unwrap_or_else(|| config.backups());
        let place = config.place();
        let bar = progress::bar(size(&place), "bytes");
        let made = block_on(async {
            let made = store::back_up(
                &place,
                &config.media.key_file,
                &folder,
                Timestamp::now(),
                |bytes| bar.set_position(bytes),
            );
            made.await.map_err(failed)
        });
        bar.finish_and_clear();
        let made = made?;
        if output.format().is_json() {
            return output.document(&json!({
                "path": made.path, "key_file": made.key_file, "bytes": made.bytes, "at": made.at,
            }));
        }
        output.text(&format!("{}\n", made.path.display()))
    }
}

/// Bytes of the database, as far as it is a file.
fn size(place: &Place) -> u64 {
    let Place::Sqlite(path) = place else {
        return 0;
    };
    std::fs::metadata(path).map_or(0, |file| file.len())
}

impl Restore {
    fn run(&self, output: &Output) -> Result<(), Failure> {
        let config = self.which.load()?;
        let (place, key_file) = (config.place(), &config.media.key_file);
        let target = match &place {
            Place::Sqlite(path) => path.display().to_string(),
            Place::Postgres(_) => "the database".to_owned(),
        };
        let statement = format!(
            "{} takes the place of {target}, which is moved aside.",
            self.backup.display()
        );
        confirm(&statement, self.yes)?;
        let bar = progress::bar(size(&Place::Sqlite(self.backup.clone())), "bytes");
        let restored = block_on(async {
            let restored =
                store::restore(&self.backup, &place, key_file, Timestamp::now(), |bytes| {
                    bar.set_position(bytes)
                });
            restored.await.map_err(failed)
        });
        bar.finish_and_clear();
        let restored = restored?;
        if output.format().is_json() {
            return output.document(&json!({
                "bytes": restored.bytes, "former": restored.former, "former_key_file": restored.former_key_file,
            }));
        }
        let mut text = format!("{} bytes are restored\n", restored.bytes);
        for (what, path) in [
            ("database", restored.former),
            ("key file", restored.former_key_file),
        ] {
            if let Some(path) = path {
                text += &format!("the former {what} is now {}\n", path.display());
            }
        }
        output.text(&text)
    }
}

impl Check {
    fn run(&self, output: &Output) -> Result<(), Failure> {
        let config = self.which.load()?;
        let place = config.place();
        let bar = progress::bar(0, "events");
        let checked = block_on(async {
            let checked = store::check(&place, |events, total| {
                bar.set_length(total);
                bar.set_position(events);
            });
            checked.await.map_err(|error| {
                let exit = match error {
                    OpenError::Missing { .. } => Exit::NotFound,
                    _ => Exit::Failed,
                };
                Failure::new(exit, error.to_string())
            })
        });
        bar.finish_and_clear();
        let checked = checked?;
        if output.format().is_json() {
            output.document(&json!({
                "sessions": checked.sessions, "events": checked.events, "problems": checked.problems,
            }))?;
        } else {
            let mut text = format!(
                "{} sessions and {} events in the journal\n",
                checked.sessions, checked.events
            );
            for problem in &checked.problems {
                text += &format!("{}\n", printable(problem));
            }
            output.text(&text)?;
        }
        match checked.problems.len() {
            0 => Ok(()),
            count => Err(Failure::new(
                Exit::Failed,
                format!(
                    "{count} problems were found: keep a copy of the database, and restore a backup if it is damaged"
                ),
            )),
        }
    }
}
