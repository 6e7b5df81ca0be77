//! What is measured: one list for people, who want times (`cargo bench`), and for CI, which wants instructions
//! (`cargo run --release -- check`).

mod association;
mod client;
mod lab;
mod messages;
mod packets;
mod rooms;
mod sound;

/// One thing that is done again and again, and what has to be ready before.
pub trait Bench {
    /// Readies so many runs. This is not measured.
    fn prepare(&mut self, runs: usize) {
        let _ = runs;
    }

    /// Does it once.
    fn run(&mut self);
}

impl<F: FnMut()> Bench for F {
    fn run(&mut self) {
        self();
    }
}

/// A thing that can be measured.
pub struct Case {
    /// What is done.
    pub name: &'static str,
    /// Sets it up.
    pub make: fn() -> Box<dyn Bench>,
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(association::cases());
    cases.extend(packets::cases());
    cases.extend(messages::cases());
    cases.extend(sound::cases());
    cases.extend(client::cases());
    cases.extend(rooms::cases());
    cases
}

const fn case(name: &'static str, make: fn() -> Box<dyn Bench>) -> Case {
    Case { name, make }
}

/// A generator that gives the same on every run.
fn rng() -> rand_chacha::ChaCha12Rng {
    rand_chacha::rand_core::SeedableRng::seed_from_u64(1)
}
