//! Whole meetings that go wrong in every way, all of them decided by a seed.
//!
//! ```text
//! seed ─► Plan: who, and a list of timed operations ─► run: a World, watched by Checks ─► Outcome
//!              ▲                                                                             │ a violation
//!              └───────────────── minimize: fewer people, operations, time ◄─────────────────┘
//! ```
//!
//! A plan is made without looking at the world, so that any part of it can be left out. What a run does to the world in
//! vain (somebody who left is to be muted) it leaves out.

mod act;
pub mod checks;
mod generate;
mod hostile;
mod minimize;
mod panics;
mod person;
mod plan;
mod run;
mod trouble;

pub use checks::{Invariant, Violation};
pub use minimize::minimize;
pub use plan::{Op, Plan, Selection, Step};
pub use run::{Outcome, run};
