//! Why a stay is over, or does not begin, and the exit code of each reason.

use parlour_tokio::core::signal::JoinRefusal;
use parlour_tokio::{CloseCause, CloseReason, JoinError, PublishError, WriteError};

use crate::cli::failure::{Exit, Failure};

/// The room is closed for this participant: no failure, if the session is over.
pub(super) fn closed(cause: CloseCause) -> Result<(), Failure> {
    let exit = match cause {
        CloseCause::Closed(reason) => match of_reason(reason) {
            Some(exit) => exit,
            None => return Ok(()),
        },
        CloseCause::Refused(refusal) => of_refusal(refusal),
        _ => Exit::Failed,
    };
    Err(Failure::new(exit, cause.to_string()))
}

/// The room was not joined.
pub(super) fn not_joined(error: JoinError) -> Failure {
    let exit = match &error {
        JoinError::Ticket(_) | JoinError::Options(_) => Exit::Usage,
        JoinError::UnknownHost { .. }
        | JoinError::NoAnswer { .. }
        | JoinError::NobodyListens { .. } => Exit::Unreachable,
        JoinError::Refused(refusal) => of_refusal(*refusal),
        // Closed before it began, a session is no success.
        JoinError::Closed(reason) => of_reason(*reason).unwrap_or(Exit::Conflict),
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}

/// The microphone was not published.
pub(super) fn not_published(error: PublishError) -> Failure {
    Failure::new(Exit::NotAllowed, format!("may not speak: {error}"))
}

/// Sound was not sent.
pub(super) fn not_written(error: WriteError) -> Failure {
    let exit = match error {
        WriteError::NotPublished => Exit::NotAllowed,
        _ => Exit::Failed,
    };
    Failure::new(exit, format!("the sound is not sent: {error}"))
}

/// `None` for a session that ended as sessions do.
fn of_reason(reason: CloseReason) -> Option<Exit> {
    Some(match reason {
        CloseReason::Left
        | CloseReason::SessionEnded
        | CloseReason::AloneTooLong
        | CloseReason::SessionTooLong => return None,
        CloseReason::Kicked | CloseReason::Denied | CloseReason::TokenExpired => Exit::NotAllowed,
        CloseReason::Replaced | CloseReason::RoomFull => Exit::Conflict,
        CloseReason::ConnectionLost | CloseReason::ServerShutdown => Exit::Unreachable,
        _ => Exit::Failed,
    })
}

fn of_refusal(refusal: JoinRefusal) -> Exit {
    match refusal {
        JoinRefusal::InvalidToken
        | JoinRefusal::TokenExpired
        | JoinRefusal::TokenRevoked
        | JoinRefusal::Kicked
        | JoinRefusal::Denied
        | JoinRefusal::Banned => Exit::NotAllowed,
        JoinRefusal::WrongRoom | JoinRefusal::UnknownRoom => Exit::NotFound,
        JoinRefusal::RoomFull
        | JoinRefusal::SessionEnded
        | JoinRefusal::Replaced
        | JoinRefusal::TooOften
        | JoinRefusal::RoomDisabled
        | JoinRefusal::DuplicateParticipant => Exit::Conflict,
        JoinRefusal::Unavailable => Exit::Unreachable,
        _ => Exit::Failed,
    }
}
