//! What the room server costs beside its rooms: `cargo bench -p parlour-server`. Linux only.
//!
//! Every server is a process of its own, and its cost is its CPU time by the kernel's account, so that other load of the machine
//! weighs little. Whoever reads a figure looks at the load, too, which is printed first. `-- lists idle` runs some parts only:
//!
//! | part | measures |
//! |---|---|
//! | `idle` | how soon a server says that it is ready, and its memory when nobody is there |
//! | `lists` | `GET /v1/participants` with filters, in a table of a million stays |
//! | `rooms` | joins and forwarded frames, beside the same rooms without management |
//! | `webhooks` | how fast events are told to a receiver |
//!
//! docs/PERFORMANCE.md has the aims and what was measured.

mod lists;
mod process;
mod rooms;
mod webhooks;

use process::Failure;

fn main() -> Result<(), Failure> {
    // Cargo passes `--bench`.
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    let is_wanted = |part: &str| given.is_empty() || given.iter().any(|it| it == part);
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let cores = std::thread::available_parallelism()?;
    println!("load of the machine: {} on {cores} cores", load.trim());
    if is_wanted("idle") {
        idle()?;
    }
    if is_wanted("lists") {
        lists::measure()?;
    }
    if is_wanted("rooms") {
        rooms::measure()?;
    }
    if is_wanted("webhooks") {
        webhooks::measure()?;
    }
    Ok(())
}

/// Starts servers, the first of which makes its database, and looks at the last one when nobody is there.
fn idle() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut starts = Vec::new();
    let mut resident = 0;
    for _ in 0..6 {
        let server = process::Process::serve(folder.path(), 0)?;
        starts.push(server.start.as_secs_f64() * 1e3);
        process::wait(std::time::Duration::from_secs(2));
        resident = server.resident()?;
    }
    let first = starts.remove(0);
    println!("\n| idle server | aim | measured |\n|---|--:|--:|");
    println!("| ready, with a new database | 300 ms | {first:.0} ms |");
    let later = process::median(starts.into_iter());
    println!("| ready, median of 5 | 300 ms | {later:.0} ms |");
    println!(
        "| resident memory | 40 MB | {:.1} MB |",
        resident as f64 / 1e6
    );
    Ok(())
}
