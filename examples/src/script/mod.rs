//! The script of the meeting.

mod assembly;
mod ending;
mod meeting;
mod moderation;
mod talk;

pub use meeting::run;
