//! The cost of the room server: real processes, real UDP on loopback, the kernel's own account of CPU time.
//!
//! ```text
//!   this process, core 1                     a process each, both on core 0
//!   talkers ─── frames ──────────────► server │ floor     second by second in turn
//!   listeners ◄── datagrams, stamped ─┘             open once, seal and send per listener
//! ```
//!
//! `docs/PERFORMANCE.md` has the method, the commands and the figures.

#[cfg(target_os = "linux")]
mod chart;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod quiet;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod row;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod speech;
#[cfg(target_os = "linux")]
mod talkers;

/// Any error ends the program, with its reason.
#[cfg(target_os = "linux")]
type Failure = Box<dyn std::error::Error>;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Failure> {
    use clap::Parser as _;

    let options = options::Options::parse();
    match options.role {
        Some(options::Role::Server) => return server::serve(&options),
        Some(options::Role::Floor) => return floor::serve(),
        None => {}
    }
    kernel::allow_sockets()?;
    let scenarios = options.scenarios().into_iter();
    let mut rows: Vec<_> = scenarios.map(row::Row::new).collect();
    // Each load once, then all once more, so that a temporary load of the machine affects all of them.
    for run in 1..=options.runs() {
        for (number, row) in rows.iter_mut().enumerate() {
            let measured = measure::measure(&options, &row.scenario)?;
            let others = measured.others;
            row.runs.push(measured);
            if options.runs() > 1 || options.table {
                report::print_run(row, run);
            } else {
                report::print_row(row, number == 0);
            }
            if options.require_quiet && !others.quiet {
                let share = others.cpu_share * 100.0;
                return Err(
                    format!("others used {share:.1} % of a core, so this means little").into(),
                );
            }
        }
    }
    if options.table {
        report::print_table(&rows);
    } else if options.runs() > 1 {
        for (number, row) in rows.iter().enumerate() {
            report::print_row(row, number == 0);
        }
    }
    if let Some(file) = &options.json {
        let summaries: Vec<_> = rows.iter().map(row::Row::summary).collect();
        std::fs::write(file, serde_json::to_string_pretty(&summaries)? + "\n")?;
    }
    if let Some(file) = &options.svg {
        std::fs::write(file, chart::svg(&rows))?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!(
        "the load generator needs Linux: it reads CPU time from /proc and sends with sendmmsg"
    );
    std::process::exit(1);
}
