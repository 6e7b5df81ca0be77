//! Moderation, as a log keeps it.

use parlour_core::room::ParticipantId;
use parlour_core::server::{Act, Selection};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Act")]
enum ActFields {
    Kick { keep_out: bool },
    Censor,
    Uncensor,
    Admit,
    Deny,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LoggedAct(#[serde(with = "ActFields")] pub(crate) Act);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Selection")]
enum SelectionFields {
    All { except: Vec<ParticipantId> },
    Only(Vec<ParticipantId>),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LoggedSelection(#[serde(with = "SelectionFields")] pub(crate) Selection);
