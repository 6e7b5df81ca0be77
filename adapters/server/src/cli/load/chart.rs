//! CPU time per frame against listeners, server and floor, as an SVG.

use std::fmt::Write as _;

use super::measure::Measured;
use super::row::Row;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 56.0;

/// A line of the chart: where it stands in the results, its name and its colour.
type Line = (fn(&Measured) -> f64, &'static str, &'static str);
const LINES: [Line; 2] = [
    (|result| result.cpu_us_per_frame, "server", "#0b6"),
    (|result| result.floor_us_per_frame, "floor", "#999"),
];

/// Draws the loads in the order of their listeners, all rooms together; the axis of listeners is logarithmic.
pub(super) fn svg(rows: &[Row]) -> String {
    let results = rows
        .iter()
        .filter_map(|row| Some((listeners(row), row.middle()?)));
    let mut results: Vec<_> = results.collect();
    results.sort_by_key(|(listeners, _)| *listeners);
    let logs = results.iter().map(|(listeners, _)| x_value(*listeners));
    let (low, high) = (
        logs.clone().fold(f64::MAX, f64::min),
        logs.fold(f64::MIN, f64::max),
    );
    let values = results
        .iter()
        .flat_map(|(_, result)| LINES.map(|(value, _, _)| value(result)));
    let top = values.fold(1.0, f64::max) * 1.1;
    let x = |listeners: usize| {
        let share = if high > low {
            (x_value(listeners) - low) / (high - low)
        } else {
            0.5
        };
        MARGIN + share * (WIDTH - 2.0 * MARGIN)
    };
    let y = |value: f64| HEIGHT - MARGIN - value / top * (HEIGHT - 2.0 * MARGIN);

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\">CPU µs per delivered frame, by listeners</text>\n\
         <path d=\"M{MARGIN} {MARGIN}V{bottom}H{right}\" fill=\"none\" stroke=\"#000\"/>\n",
        bottom = HEIGHT - MARGIN,
        right = WIDTH - MARGIN,
    );
    // Writing to a string cannot fail.
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.0}\" text-anchor=\"end\">{value:.1}</text>",
            MARGIN - 6.0,
            y(value) + 4.0
        );
    }
    for (listeners, _) in &results {
        let _ = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{}\" text-anchor=\"middle\">{listeners}</text>",
            x(*listeners),
            HEIGHT - MARGIN + 18.0,
        );
    }
    for (n, (value, name, colour)) in LINES.iter().enumerate() {
        let points: Vec<_> = results
            .iter()
            .map(|(listeners, result)| format!("{:.1},{:.1}", x(*listeners), y(value(result))))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for point in &points {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(
                out,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>",
            WIDTH - MARGIN - 40.0,
            MARGIN + 16.0 * n as f64
        );
    }
    out + "</svg>\n"
}

fn listeners(row: &Row) -> usize {
    row.scenario.rooms * row.scenario.listeners
}

fn x_value(listeners: usize) -> f64 {
    (listeners.max(1) as f64).ln()
}
