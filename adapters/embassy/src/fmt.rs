//! Log lines, to `defmt`, to `log` or to nowhere.

#[cfg(feature = "defmt")]
macro_rules! debug {
    ($($argument:tt)*) => { ::defmt::debug!($($argument)*) };
}
#[cfg(all(feature = "log", not(feature = "defmt")))]
macro_rules! debug {
    ($($argument:tt)*) => { ::log::debug!($($argument)*) };
}
#[cfg(not(any(feature = "log", feature = "defmt")))]
macro_rules! debug {
    ($message:literal $(, $argument:expr)* $(,)?) => { $(let _ = &$argument;)* };
}

pub(crate) use debug;
