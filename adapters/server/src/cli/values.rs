//! Values as people write them on the command line.

use jiff::{SpanRelativeTo, Unit};
use parlour_server::time::{NotATime, Timestamp};
use serde_json::{Value, json};

/// A number, as JSON has it.
pub(super) fn number(text: &str) -> Result<Value, String> {
    let number: serde_json::Number = text.parse().map_err(|_| "not a number".to_owned())?;
    Ok(Value::Number(number))
}

/// `KEY=VALUE` as a pair; `KEY` alone has no value.
pub(super) fn pair(text: &str) -> Result<Value, String> {
    match text.split_once('=') {
        Some((key, value)) => Ok(json!([key, value])),
        None => Ok(json!([text, null])),
    }
}

/// Milliseconds of a duration such as `90s`, `10m` or `30d`; a number alone counts seconds.
pub(super) fn millis(text: &str) -> Result<i64, String> {
    let refused = || format!("{text:?} is no duration: write it as 90s, 10m, 12h or 30d");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(i64::from(seconds) * 1_000);
    }
    let span: jiff::Span = text.parse().map_err(|_| refused())?;
    let total = span.total((Unit::Millisecond, SpanRelativeTo::days_are_24_hours()));
    let millis = total.map_err(|_| refused())?;
    // Beyond this the milliseconds of a year 10,000 do not reach.
    if !(0.0..1e15).contains(&millis) {
        return Err(refused());
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is in range")]
    Ok(millis as i64)
}

/// A duration in full units of so many milliseconds.
pub(super) fn duration(text: &str, unit: i64) -> Result<Value, String> {
    let millis = millis(text)?;
    if millis % unit != 0 {
        return Err("full seconds are possible".to_owned());
    }
    Ok((millis / unit).into())
}

/// A time as RFC 3339 writes it, or so long from now: `-2h`, `+7d`.
pub(super) fn point_in_time(text: &str) -> Result<Timestamp, String> {
    let now = Timestamp::now().as_millis();
    match text.split_at_checked(1) {
        Some(("-", past)) => Ok(Timestamp::from_millis(now.saturating_sub(millis(past)?))),
        Some(("+", ahead)) => Ok(Timestamp::from_millis(now.saturating_add(millis(ahead)?))),
        _ => text
            .parse()
            .map_err(|error: NotATime| format!("{error}, nor a time from now, such as -2h or +7d")),
    }
}

/// The same, as the API has it.
pub(super) fn time(text: &str) -> Result<Value, String> {
    point_in_time(text).map(|time| json!(time))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("600", Ok(600_000)),
            ("10m", Ok(600_000)),
            ("1h30m", Ok(5_400_000)),
            ("30d", Ok(30 * 86_400_000)),
            ("250ms", Ok(250)),
            ("0", Ok(0)),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
        for text in ["", "x", "-5m", "1 month", "10q", "99999999999999d"] {
            assert!(millis(text).is_err(), "{text}");
        }
        assert_eq!(duration("90s", 1_000), Ok(json!(90)));
        assert!(duration("90ms", 1_000).is_err());
    }

    #[test]
    fn times_are_absolute_or_from_now() {
        assert_eq!(
            time("2026-11-05T10:03:11.25+01:00"),
            Ok(json!("2026-11-05T09:03:11.250Z"))
        );
        let millis = |text: &str| {
            let time: Timestamp = time(text).unwrap().as_str().unwrap().parse().unwrap();
            time.as_millis() - Timestamp::now().as_millis()
        };
        assert!((-7_210_000..=-7_200_000).contains(&millis("-2h")));
        assert!((604_790_000..=604_800_000).contains(&millis("+7d")));
        for text in ["yesterday", "2h", "-", "+x", ""] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in ".{0,40}") {
            let _ = (millis(&text), duration(&text, 1_000), time(&text), number(&text), pair(&text));
        }
    }
}
