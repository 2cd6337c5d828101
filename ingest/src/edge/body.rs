//! Reading a body without letting its sender decide what that costs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config::Limits;

/// How much of a body that is too large is read and thrown away, in times of the cap, so that an honest sender gets to
/// see the 413 instead of a broken connection; and how long that may take.
const THROWN_AWAY: usize = 4;
const THROWING_AWAY: Duration = Duration::from_secs(2);

/// A whole body, and its share of the room for bodies until it is dropped.
pub(super) struct Whole {
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    TimedOut,
    Broken,
    /// No room left for bodies.
    NoRoom,
}

/// Reads `body` to its end within the limits, holding room as it grows rather than by what the sender announces. A sender
/// that `asks_first` (`Expect: 100-continue`) has not sent it yet, and need not where its length says enough.
pub(super) async fn read(
    body: Body,
    asks_first: bool,
    limits: &Limits,
    room: &Arc<Semaphore>,
) -> Result<Whole, Unread> {
    let cap = limits.body_bytes;
    if body.size_hint().lower() > cap as u64 {
        return Err(refuse(Unread::TooLarge, if asks_first { Body::empty() } else { body }, limits).await);
    }
    match timeout(limits.body_timeout, collect(body, cap, room)).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err((unread, rest))) => Err(refuse(unread, rest, limits).await),
        Err(_elapsed) => Err(Unread::TimedOut),
    }
}

/// However the rest of the body comes, the reason stands.
async fn refuse(unread: Unread, rest: Body, limits: &Limits) -> Unread {
    let patience = THROWING_AWAY.min(limits.body_timeout);
    let _ = timeout(patience, throw_away(rest, limits.body_bytes * THROWN_AWAY)).await;
    unread
}

async fn collect(mut body: Body, cap: usize, room: &Arc<Semaphore>) -> Result<Whole, (Unread, Body)> {
    let mut bytes = BytesMut::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err((Unread::Broken, Body::empty())) };
        let Ok(chunk) = frame.into_data() else { continue };
        if bytes.len() + chunk.len() > cap {
            return Err((Unread::TooLarge, body));
        }
        if !grow(&mut share, bytes.len() + chunk.len(), room) {
            return Err((Unread::NoRoom, body));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Whole { bytes: bytes.freeze(), _share: share })
}

fn grow(share: &mut Option<OwnedSemaphorePermit>, bytes: usize, room: &Arc<Semaphore>) -> bool {
    let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let Ok(wanted) = u32::try_from(kib(bytes).saturating_sub(held)) else { return false };
    let Ok(more) = room.clone().try_acquire_many_owned(wanted) else { return false };
    match share {
        Some(share) => share.merge(more),
        None => *share = Some(more),
    }
    true
}

/// Bytes as KiB, rounded up.
pub(super) fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

async fn throw_away(mut body: Body, most: usize) {
    if body.size_hint().lower() > most as u64 {
        return;
    }
    let mut thrown = 0;
    while let Some(Ok(frame)) = body.frame().await {
        thrown += frame.data_ref().map_or(0, Bytes::len);
        if thrown > most {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take(body: Body, cap: usize, room: usize) -> (Result<Bytes, Unread>, usize) {
        let room = Arc::new(Semaphore::new(room));
        let limits = Limits { body_bytes: cap, body_timeout: Duration::from_secs(60), ..Limits::default() };
        let read = read(body, false, &limits, &room).await;
        let left = room.available_permits();
        (read.map(|whole| whole.bytes), left)
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_cap_is_read_and_one_byte_more_is_too_large() {
        let (read, left) = take(Body::from(vec![7; 2048]), 2048, 10).await;
        assert_eq!((read.map(|bytes| bytes.len()), left), (Ok(2048), 8));
        assert_eq!(take(Body::from(vec![7; 2049]), 2048, 10).await, (Err(Unread::TooLarge), 10));
    }

    #[tokio::test]
    async fn a_body_that_no_room_is_left_for_is_refused_and_gives_its_share_back() {
        assert_eq!(take(Body::from(vec![7; 2049]), 4096, 2).await, (Err(Unread::NoRoom), 2));
    }

    #[tokio::test]
    async fn an_empty_body_takes_no_room() {
        assert_eq!(take(Body::empty(), 10, 0).await, (Ok(Bytes::new()), 0));
    }
}
