//! Commands that look: at topics, at positions, at what the views answer. None of them writes anything.
//!
//! | room | what is there |
//! |---|---|
//! | [`tail`] | `tail`: a topic's records, as they are and as they come |
//! | [`start`] | where `tail` begins |
//! | [`line`] | one record as a line for people, or as JSON |
//! | [`conflicts`] | which record says something else than the first one of its id, for `tail` |
//! | [`answers`] | `access`, `subscription`: the query API's answers |
//! | [`http`] | the query API as they ask it |
//! | [`status`] | `status`: positions, lag and rates by partition |

mod answers;
mod conflicts;
mod http;
mod line;
mod start;
mod status;
mod tail;

use std::io::{self, ErrorKind};
use std::process::ExitCode;

pub(crate) use answers::{AccessArgs, SubscriptionArgs, access, subscription};
pub(crate) use status::{Args as StatusArgs, status};
pub(crate) use tail::{Args as TailArgs, tail};

/// A reader that has gone, such as `head`, has seen enough: that is a good end.
pub(crate) fn ignore_broken_pipe(written: io::Result<()>) -> anyhow::Result<ExitCode> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => Ok(written.map(|()| ExitCode::SUCCESS)?),
    }
}
