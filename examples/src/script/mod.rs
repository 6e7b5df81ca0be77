//! What happens in the meeting, in its order.

mod assembly;
mod ending;
mod meeting;
mod moderation;
mod talk;

pub use meeting::run;
