//! The example `talk` beside its sound: the screen, the keys, and the lines that it prints where there is no terminal.

mod screen;
mod window;

pub use screen::{Person, Screen};
pub use window::Window;
