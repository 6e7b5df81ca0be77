//! The results as a table, a line per load.

use crate::measure::Measured;

pub(crate) fn print_row(result: &Measured, is_first: bool) {
    if is_first {
        println!(
            "rooms × listeners × talkers, pps, phases | delivered | µs/frame | busiest thread's | worker's | floor | ratio | datagrams/frame | \
             latency µs p50 p99 max | floor's | RSS/participant | µs/join | idle µs/s | drops | of a core | worst and \
             median room | joins and requests in overload, ms p50 max"
        );
    }
    let Measured {
        rooms,
        listeners,
        talkers,
        pps,
        phases,
        ..
    } = result;
    let (latency, floor) = (result.latency_us, result.floor_latency_us);
    let idle = match result.idle_cpu_us_per_second {
        Some(micros) => format!("{micros:.1}"),
        None => "–".to_owned(),
    };
    println!(
        "{rooms} × {listeners} × {talkers}, {pps}, {phases} | {:.2} % | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | \
         {} {} {} | {} {} {} | {} | {:.0} | {idle} | {} | {:.3} | {:.2} % {:.2} % | {}",
        result.delivered * 100.0,
        result.cpu_us_per_frame,
        result.busiest_thread_us_per_frame,
        result.worker_us_per_frame,
        result.floor_us_per_frame,
        result.ratio,
        result.datagrams_per_frame,
        latency.p50,
        latency.p99,
        latency.max,
        floor.p50,
        floor.p99,
        floor.max,
        result.rss_bytes_per_participant,
        result.cpu_us_per_join,
        result.server_socket_drops,
        result.cpu_share,
        result.delivered_worst_room * 100.0,
        result.delivered_median_room * 100.0,
        overload(result),
    );
}

/// What became of those who joined in the overload.
fn overload(result: &Measured) -> String {
    let (Some(join), Some(request)) = (result.overload_join_ms, result.overload_request_ms) else {
        return "–".to_owned();
    };
    format!("{} {}, {} {}", join.p50, join.max, request.p50, request.max)
}
