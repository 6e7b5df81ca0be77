//! A whole meeting on one machine: a room server, a host, a small device with one decoder and a listener, over real UDP.
//! `cargo run --release --example meeting -- --help` lists the options.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use parlour_examples::options::Options;
use parlour_examples::report::Report;
use parlour_examples::script;

/// Codecs need a large stack, above all in unoptimised builds.
const STACK: usize = 16 << 20;

fn main() -> ExitCode {
    let options = Options::parse();
    match hold(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Holds the meeting, and returns whether it passed.
fn hold(options: &Options) -> anyhow::Result<bool> {
    if let Some(file) = &options.json {
        // Report an error now rather than after the meeting.
        Report::check_json(file)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()?;
    let meeting = options.clone();
    // On a thread with a large stack, too.
    let meeting = runtime.spawn(async move { script::run(&meeting).await });
    let report = runtime
        .block_on(meeting)
        .context("the meeting broke off")??;
    println!("\nWho heard whom\n{}\n{}", report.table(), Report::legend());
    println!("\nWhat each of them heard is in {}.", options.out.display());
    if let Some(file) = &options.json {
        report.write_json(file)?;
    }
    for complaint in report.complaints() {
        println!("FAILED: {complaint}");
    }
    println!(
        "{}",
        if report.passed {
            "All as it should be."
        } else {
            "Not all was as it should be."
        }
    );
    Ok(report.passed)
}
