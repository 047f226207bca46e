//! How much room the limits leave: what the inputs take of each, at most.

use serde::Serialize;

use super::case::Case;
use crate::sandbox::{MeteredSandbox, Share};

/// What was used of one limit, by the input that used most of it.
#[derive(Clone, Debug, Serialize)]
pub struct Room {
    /// Of what.
    pub limit: &'static str,
    /// In what it is counted.
    pub unit: &'static str,
    /// How much was used.
    pub used: u64,
    /// The limit.
    pub max: u64,
    /// The input's name.
    pub case: String,
}

impl Room {
    fn of(share: Share, case: &Case) -> Self {
        Self {
            limit: share.name,
            unit: share.unit,
            used: share.used,
            max: share.max,
            case: case.name.clone(),
        }
    }

    /// What was used, in hundredths of the limit.
    pub fn percent(&self) -> u64 {
        self.used.saturating_mul(100) / self.max.max(1)
    }
}

/// Judges each input alone, and measures what it takes.
pub(super) fn measure(sandbox: &MeteredSandbox, cases: &[Case]) -> Vec<Room> {
    let mut rooms: Vec<Room> = Vec::new();
    for case in cases {
        let (_, usage) = sandbox.judge(&case.message);
        let shares = usage.shares(sandbox.limits());
        if rooms.is_empty() {
            rooms.extend(shares.map(|share| Room::of(share, case)));
        }
        for (room, share) in rooms.iter_mut().zip(shares) {
            if share.used > room.used {
                *room = Room::of(share, case);
            }
        }
    }
    rooms
}
