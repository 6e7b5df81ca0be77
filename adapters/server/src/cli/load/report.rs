//! The results as a table, a line per load.

use std::fmt::Write as _;

use super::measure::{Latency, Measured};
use super::row::Row;

/// The line of a load; the first one has the head above it.
pub(super) fn row(row: &Row, is_first: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    if is_first {
        let _ = writeln!(
            text,
            "rooms × listeners × talkers, phases | delivered | µs/frame | busiest thread's | worker's | floor | ratio | \
             datagrams/frame | latency µs p50 p99 max | floor's | RSS/participant | µs/join | idle µs/s | drops | of a core | \
             worst and median room | joins and requests in overload, ms p50 max | others of a core, load average before and after"
        );
    }
    let Some(result) = row.middle() else {
        return text;
    };
    let idle = match result.idle_cpu_us_per_second {
        Some(micros) => format!("{micros:.1}"),
        None => "–".to_owned(),
    };
    let _ = writeln!(
        text,
        "{}{} | {:.2} % | {:.2} | {:.2} | {:.2} | {:.2} | {} | {:.2} | {} | {} | {} | {:.0} | {idle} | {} | {:.3} | \
         {:.2} % {:.2} % | {} | {}",
        row.scenario,
        window(row),
        result.delivered * 100.0,
        result.cpu_us_per_frame,
        result.busiest_thread_us_per_frame,
        result.worker_us_per_frame,
        result.floor_us_per_frame,
        ratio(row),
        result.datagrams_per_frame,
        latency(result.latency_us),
        latency(result.floor_latency_us),
        result.rss_bytes_per_participant,
        result.cpu_us_per_join,
        result.server_socket_drops,
        result.cpu_share,
        result.delivered_worst_room * 100.0,
        result.delivered_median_room * 100.0,
        overload(result),
        machine(row),
    );
    text
}

/// One run, for users who wait for all of them.
pub(super) fn print_run(row: &Row, run: u32) {
    if let Some(last) = row.runs.last() {
        eprintln!(
            "run {run}: {}{}: {:.2}, others used {:.1} % of a core",
            row.scenario,
            window(row),
            last.ratio,
            last.others.cpu_share * 100.0
        );
    }
}

/// As `docs/PERFORMANCE.md` has it.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "| rooms × listeners × talkers, phases | aim | ratio (least–most) | µs/frame | floor | delivered | datagrams per frame | \
         latency p50 / p99 µs | the floor's | KiB per participant | µs per join | others, of a core |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for row in rows {
        let median = |of: fn(&Measured) -> f64| row.spread(of).median;
        let aim = row
            .scenario
            .aim
            .map_or("–".to_owned(), |aim| format!("{aim:.2}"));
        let _ = writeln!(
            text,
            "| {}{} | {aim} | {} | {:.2} | {:.2} | {:.2} % | {:.2} | {:.0} / {:.0} | {:.0} / {:.0} | {:.1} | {:.0} | {:.1} %{} |",
            row.scenario,
            window(row),
            ratio(row),
            median(|run| run.cpu_us_per_frame),
            median(|run| run.floor_us_per_frame),
            median(|run| run.delivered * 100.0),
            median(|run| run.datagrams_per_frame),
            median(|run| run.latency_us.p50.into()),
            median(|run| run.latency_us.p99.into()),
            median(|run| run.floor_latency_us.p50.into()),
            median(|run| run.floor_latency_us.p99.into()),
            median(|run| run.rss_bytes_per_participant as f64 / 1024.0),
            median(|run| run.cpu_us_per_join),
            median(|run| run.others.cpu_share * 100.0),
            if row.is_quiet() {
                ""
            } else {
                ", **not quiet**"
            },
        );
    }
    let runs = rows.iter().map(|row| row.runs.len()).max().unwrap_or(0);
    let loads = rows.iter().flat_map(|row| &row.runs);
    let load = loads.map(|run| run.others.load_before).fold(0.0, f64::max);
    let _ = writeln!(
        text,
        "\nMedians of the runs, {runs} of each. Load average before the first: {:.2}; before any, this program's own included: {load:.2} at most.",
        rows.iter()
            .find_map(|row| row.runs.first())
            .map_or(0.0, |run| run.others.load_before),
    );
    text
}

fn window(row: &Row) -> String {
    let window = row.scenario.gather;
    window.map_or(String::new(), |millis| format!(", window {millis} ms"))
}

fn ratio(row: &Row) -> String {
    let ratio = row.ratio();
    match row.runs.len() {
        1 => format!("{:.2}", ratio.median),
        _ => format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.min, ratio.max),
    }
}

fn latency(latency: Latency) -> String {
    format!("{} {} {}", latency.p50, latency.p99, latency.max)
}

fn machine(row: &Row) -> String {
    let others = row.runs.iter().map(|run| run.others);
    let shares = others.clone().map(|others| others.cpu_share);
    let before = others.clone().map(|others| others.load_before);
    let after = others.map(|others| others.load_after);
    format!(
        "{:.1} %, {:.2} {:.2}, {}",
        shares.fold(0.0, f64::max) * 100.0,
        before.fold(0.0, f64::max),
        after.fold(0.0, f64::max),
        if row.is_quiet() { "quiet" } else { "not quiet" },
    )
}

/// The joins during the overload.
fn overload(result: &Measured) -> String {
    let (Some(join), Some(request)) = (result.overload_join_ms, result.overload_request_ms) else {
        return "–".to_owned();
    };
    format!("{} {}, {} {}", join.p50, join.max, request.p50, request.max)
}
