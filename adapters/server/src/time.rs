//! Points in time as the API and the tables have them.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: milliseconds since 1970, UTC. As text it is RFC 3339 with milliseconds.
///
/// ```
/// use parlour_server::time::Timestamp;
/// let time: Timestamp = "2026-11-05T09:03:11.250Z".parse()?;
/// assert_eq!(time.as_millis(), 1_793_869_391_250);
/// assert_eq!(time.to_string(), "2026-11-05T09:03:11.250Z");
/// # Ok::<(), parlour_server::time::NotATime>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The present, by this machine's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place in this crate that reads the clock"
    )]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since 1970, rounded down; 0 before.
    pub fn as_secs(self) -> u64 {
        u64::try_from(self.0.div_euclid(1_000)).unwrap_or(0)
    }

    /// The beginning of the second that follows.
    #[must_use]
    pub fn next_second(self) -> Self {
        Self(
            self.0
                .div_euclid(1_000)
                .saturating_add(1)
                .saturating_mul(1_000),
        )
    }

    /// That much later; at most the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// That much earlier.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The time from `earlier` until this; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(millis(since)),
            Err(before) => Self(-millis(before.duration())),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Out of the calendar's range is as good as its end.
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time:.3}")
    }
}

/// A point in time, also by the monotonic clock: whoever sets the other one changes no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By this machine's clock.
    pub at: Timestamp,
    /// Milliseconds by the monotonic clock of this process. Without a value it was in the life of another process.
    pub up: Option<i64>,
}

impl Moment {
    /// By both clocks.
    pub fn new(at: Timestamp, instant: Instant) -> Self {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        let origin = *ORIGIN.get_or_init(|| instant);
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let up = match instant.checked_duration_since(origin) {
            Some(since) => millis(since),
            None => -millis(origin.duration_since(instant)),
        };
        Self { at, up: Some(up) }
    }

    /// The time from `earlier` until this; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        match self.up.zip(earlier.up) {
            Some((up, earlier)) => {
                Duration::from_millis(u64::try_from(up.saturating_sub(earlier)).unwrap_or(0))
            }
            None => self.at.since(earlier.at),
        }
    }
}

/// A text is not a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time as RFC 3339 writes it, such as 2026-11-05T09:03:11.250Z")]
pub struct NotATime;

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let time: jiff::Timestamp = text.parse().map_err(|_| NotATime)?;
        Ok(Self(time.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC, milliseconds"))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2026-11-05T09:03:11.250Z", 1_793_869_391_250),
            ("1969-12-31T23:59:59.999Z", -1),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_millis(millis)));
        }
        let offset: Timestamp = "2026-11-05T10:03:11.25+01:00".parse().unwrap();
        assert_eq!(offset.as_millis(), 1_793_869_391_250);
        assert_eq!("yesterday".parse::<Timestamp>(), Err(NotATime));
    }

    #[test]
    fn a_duration_is_the_same_whatever_the_clock_is_set_to() {
        let began = tokio::time::Instant::now().into_std();
        let moment = |at, up| {
            Moment::new(
                Timestamp::from_millis(at),
                began + Duration::from_millis(up),
            )
        };
        let (noon, later) = (moment(43_200_000, 0), moment(1_000, 2_500));
        assert_eq!(later.since(noon), Duration::from_millis(2_500));
        assert_eq!(noon.since(later), Duration::ZERO);
        let before = Moment {
            up: None,
            ..moment(43_199_000, 0)
        };
        assert_eq!(noon.since(before), Duration::from_secs(1));
    }

    #[test]
    fn sums_stay_within_time() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert!(!end.to_string().is_empty());
        let start = Timestamp::from_millis(i64::MIN);
        assert_eq!(start.before(Duration::MAX), start);
        assert_eq!(start.since(end), Duration::ZERO);
    }
}
