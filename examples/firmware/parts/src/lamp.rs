//! The lamp's signals.

/// The state of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits for its settings: two short blinks every two seconds.
    Provisioning,
    /// No link or no address: dark.
    NoNetwork,
    /// Joining the room, or reconnecting: a blink a second.
    Joining,
    /// In the room: lit.
    InRoom,
    /// The button is held and audio is sent: five blinks a second.
    Talking,
}

impl State {
    /// The state for these facts; each requires the previous one.
    pub fn of(network: bool, joined: bool, button: bool) -> Self {
        match (network, joined, button) {
            (false, _, _) => Self::NoNetwork,
            (true, false, _) => Self::Joining,
            (true, true, false) => Self::InRoom,
            (true, true, true) => Self::Talking,
        }
    }

    /// Whether the lamp is lit `ms` milliseconds after some start.
    pub fn is_lit(self, ms: u64) -> bool {
        match self {
            Self::Provisioning => ms % 2_000 < 400 && ms % 200 < 100,
            Self::NoNetwork => false,
            Self::Joining => ms % 1_000 < 500,
            Self::InRoom => true,
            Self::Talking => ms % 200 < 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the lamp turns on in ten seconds, sampled as often as in the firmware, and the number of samples in
    /// which it is lit.
    fn seen(state: State) -> (usize, usize) {
        let lit = || (0..10_000).step_by(50).map(|ms| state.is_lit(ms));
        let goes_on = lit()
            .zip(lit().skip(1))
            .filter(|pair| *pair == (false, true));
        (goes_on.count(), lit().filter(|lit| *lit).count() * 50)
    }

    #[test]
    fn each_state_looks_different() {
        assert_eq!(seen(State::Provisioning), (9, 1_000));
        assert_eq!(seen(State::NoNetwork), (0, 0));
        assert_eq!(seen(State::Joining), (9, 5_000));
        assert_eq!(seen(State::InRoom), (0, 10_000));
        assert_eq!(seen(State::Talking), (49, 5_000));
    }

    #[test]
    fn without_a_network_nobody_talks() {
        assert_eq!(State::of(false, true, true), State::NoNetwork);
        assert_eq!(State::of(true, false, true), State::Joining);
        assert_eq!(State::of(true, true, false), State::InRoom);
        assert_eq!(State::of(true, true, true), State::Talking);
    }
}
