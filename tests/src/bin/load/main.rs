//! What the room server costs: real processes, real UDP on loopback, the kernel's own account of CPU time.
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
mod report;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod speech;
#[cfg(target_os = "linux")]
mod talkers;

/// What can go wrong here ends the program, with its reason.
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
    let mut results = Vec::new();
    for scenario in options.scenarios() {
        let result = measure::measure(&options, &scenario)?;
        report::print_row(&result, results.is_empty());
        results.push(result);
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&results)? + "\n")?;
    }
    if let Some(file) = &options.svg {
        std::fs::write(file, chart::svg(&results))?;
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
