//! `parlour load`: many participants at once, to see what a server bears.
//!
//! They join a server that runs ([`drive`]), from this machine or another: what arrives, how late, and how fast joins are.
//! Or they measure what a frame costs a server on this machine, with real UDP on loopback and the kernel's own account of CPU
//! time ([`measure`]):
//!
//! ```text
//!   this process, core 1                     a process each, both on core 0
//!   talkers ─── frames ──────────────► server │ floor     second by second in turn
//!   listeners ◄── datagrams, stamped ─┘             open once, seal and send per listener
//! ```
//!
//! `docs/PERFORMANCE.md` has the method, the commands and the figures.

mod chart;
mod drive;
mod floor;
mod kernel;
mod measure;
mod network;
mod options;
mod process;
mod quiet;
mod report;
mod row;
mod server;
mod speech;
mod talkers;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use parlour_tokio::token::ApiKey;
use rand_core::{OsRng, RngCore as _};

use self::drive::Interrupt;
use self::options::{Mix, Phases, Role, Scenario, TABLE};
use self::row::Row;
use self::server::Tickets;
use super::block_on;
use super::context::{Connection, NOT_A_KEY, split_key};
use super::failure::{Exit, Failure};
use super::output::Output;

/// How the headings of the help are called.
const OWN: &str = "What a frame costs (Linux, on this machine)";

/// Loads a server with many participants, and says what reaches them.
///
/// Participants join rooms of their own, `load-…`. Talkers send 50 frames of Opus a second, listeners count what they hear and
/// how late it is, and all leave at the end. One participant hears at most 32 talkers.
///
/// With `--own-server` it starts a server on this machine and measures its CPU time for each delivered frame, beside a program
/// that does no more than the cipher and the sending: docs/PERFORMANCE.md has the method.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  parlour load --rooms 10 --listeners 20 --talkers 2 --seconds 30 --ramp 10
  parlour load --own-server --listeners 100 --talkers 1,3,10")]
pub(crate) struct Load {
    /// Rooms; several numbers are tried one after the other, here and below.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    rooms: Vec<usize>,
    /// Participants of each room that only listen.
    #[arg(long, value_delimiter = ',', default_value = "100")]
    listeners: Vec<usize>,
    /// Participants of each room that only talk; 0 tries idle participants.
    #[arg(long, value_delimiter = ',', default_value = "3")]
    talkers: Vec<usize>,
    /// Seconds of talk: 10, or 5 for each row of a table.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// Seconds over which the joins are spread; 0: as fast as the server answers.
    #[arg(long, default_value_t = 0)]
    ramp: u32,
    /// Bytes of sound in a frame, at least 16.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u16).range(16..=1000))]
    payload: u16,
    /// Frames per second of each talker.
    #[arg(long, value_delimiter = ',', default_value = "50")]
    pps: Vec<u32>,
    /// The talkers' phases.
    #[arg(long, value_enum, default_value = "random")]
    phases: Phases,
    /// The seed of the talkers' phases.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Starts a server for this, and measures what a frame costs it.
    #[arg(long, help_heading = OWN, group = "measured")]
    own_server: bool,
    /// Measures what a frame costs the server of the context, which is this process on this machine.
    #[arg(long, help_heading = OWN, group = "measured")]
    pid: Option<u32>,
    /// Measures the loads whose ratio to the floor has an aim, five times each unless `--runs` says otherwise, and prints the
    /// table of docs/PERFORMANCE.md.
    #[arg(long, help_heading = OWN, requires = "measured",
        conflicts_with_all = ["listeners", "talkers", "rooms", "pps", "phases", "gather", "idle", "beside", "overload", "mix"])]
    table: bool,
    /// How often each load is measured, all of them in turn; the run with the median ratio is printed.
    #[arg(long, help_heading = OWN, requires = "measured", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Fails at the first run during which other programs were busy.
    #[arg(long, help_heading = OWN, requires = "measured")]
    require_quiet: bool,
    /// Seconds that joined participants are left alone, for the cost of idle ones.
    #[arg(long, help_heading = OWN, requires = "measured", default_value_t = 0)]
    idle: u32,
    /// Rooms of five listeners and one talker beside those, to see their share of the audio when the server is
    /// overloaded. The floor has none of them.
    #[arg(long, help_heading = OWN, requires = "measured", default_value_t = 0)]
    beside: usize,
    /// Talks all the time, without turns of the floor, and has a participant join and make a request every second: for loads
    /// that are too much for the server.
    #[arg(long, help_heading = OWN, requires = "measured")]
    overload: bool,
    /// The listeners that hear a mix instead of streams. The talkers then send speech; the latency is that of the
    /// first frame of each turn, until the first mix with a voice in it arrives.
    #[arg(long, help_heading = OWN, requires = "measured", value_enum)]
    mix: Option<Mix>,
    /// The speech for `--mix`: WAV or Ogg Opus.
    #[arg(long, help_heading = OWN, requires = "mix", value_name = "FILE", default_value = "examples/assets/host.wav")]
    speech: PathBuf,
    /// The server's gather window in milliseconds; without it, as the server thinks best.
    #[arg(long, help_heading = OWN, requires = "measured", value_name = "MS")]
    gather: Option<u32>,
    /// Threads that send for each worker of the server; 0: the worker sends itself.
    #[arg(long, help_heading = OWN, requires = "measured", default_value_t = 0)]
    senders: usize,
    /// Cores of the server and of the floor, one for each worker and each sender.
    #[arg(long, help_heading = OWN, requires = "measured", value_delimiter = ',', default_value = "0")]
    server_cores: Vec<usize>,
    /// The core of the simulated participants.
    #[arg(long, help_heading = OWN, requires = "measured", default_value_t = 1)]
    core: usize,
    /// The file for the chart of a frame's cost against the number of listeners.
    #[arg(long, help_heading = OWN, requires = "measured", value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// The role of this process, when the program has started itself.
    #[arg(long, value_enum, hide = true)]
    role: Option<Role>,
}

impl Load {
    /// Loads a server, and prints what comes of it.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        match self.role {
            Some(Role::Server) => return Ok(server::serve(self)?),
            Some(Role::Floor) => return Ok(floor::serve()?),
            None => {}
        }
        kernel::allow_sockets()?;
        if self.own_server {
            return self.measure(None, output);
        }
        let tickets = block_on(self.tickets())?;
        match self.pid {
            Some(pid) => self.measure(Some(&(tickets, pid)), output),
            None => self.drive(&tickets, output),
        }
    }

    /// Tickets to rooms of the context's server that nobody else uses.
    async fn tickets(&self) -> Result<Tickets, Failure> {
        let base = self.connection.ticket_base().await?;
        let key = self.connection.context()?.key;
        let none = |says: String| Failure::new(Exit::Usage, says);
        let (id, secret) = split_key(&key).ok_or_else(|| none(NOT_A_KEY.to_owned()))?;
        let key = ApiKey::new(id, secret).map_err(|error| none(error.to_string()))?;
        let rooms = format!("load-{:08x}", OsRng.next_u32());
        Ok(Tickets { base, key, rooms })
    }

    /// Loads a server, and tells what arrives.
    fn drive(&self, tickets: &Tickets, output: &Output) -> Result<(), Failure> {
        let interrupt = Interrupt::listen()?;
        for scenario in self.scenarios() {
            let driven = drive::drive(self, &scenario, tickets, &interrupt)?;
            if output.format().is_json() {
                output.document(&driven)?;
            } else {
                output.text(&driven.to_string())?;
            }
            if interrupt.is_there() {
                break;
            }
        }
        Ok(())
    }

    /// Measures what a frame costs a server of its own, or the one that runs as this process.
    fn measure(&self, running: Option<&(Tickets, u32)>, output: &Output) -> Result<(), Failure> {
        let is_json = output.format().is_json();
        let mut rows: Vec<_> = self.scenarios().into_iter().map(Row::new).collect();
        // Each load once, then all once more, so that a temporary load of the machine affects all of them.
        for run in 1..=self.runs() {
            for (number, row) in rows.iter_mut().enumerate() {
                let measured = measure::measure(self, &row.scenario, running)?;
                let others = measured.others;
                row.runs.push(measured);
                if self.runs() > 1 || self.table || is_json {
                    report::print_run(row, run);
                } else {
                    output.text(&report::row(row, number == 0))?;
                }
                if self.require_quiet && !others.quiet {
                    let share = others.cpu_share * 100.0;
                    let says = format!("others used {share:.1} % of a core, so this means little");
                    return Err(anyhow::Error::msg(says).into());
                }
            }
        }
        if is_json {
            let summaries: Vec<_> = rows.iter().map(Row::summary).collect();
            output.document(&summaries)?;
        } else if self.table {
            output.text(&report::table(&rows))?;
        } else if self.runs() > 1 {
            for (number, row) in rows.iter().enumerate() {
                output.text(&report::row(row, number == 0))?;
            }
        }
        if let Some(file) = &self.svg {
            let written = std::fs::write(file, chart::svg(&rows));
            written.with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    /// Every combination of the options.
    fn scenarios(&self) -> Vec<Scenario> {
        if self.table {
            return TABLE.to_vec();
        }
        let mut scenarios = Vec::new();
        for &rooms in &self.rooms {
            for &listeners in &self.listeners {
                for &talkers in &self.talkers {
                    scenarios.extend(self.pps.iter().map(|&pps| Scenario {
                        rooms,
                        listeners,
                        talkers,
                        pps: pps.max(1),
                        phases: self.phases,
                        gather: self.gather,
                        aim: None,
                    }));
                }
            }
        }
        scenarios
    }

    fn runs(&self) -> u32 {
        self.runs.unwrap_or(if self.table { 5 } else { 1 })
    }

    fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.table { 5 } else { 10 })
    }
}
