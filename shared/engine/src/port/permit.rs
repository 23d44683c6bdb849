//! Leave to write to the outside, for as long as nobody else can have taken the ticket meanwhile.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::error::{Failure, Fault};

use super::Clock;
use crate::ticket::in_time;

/// Longest one write takes from its sending until it was carried out or given up.
const SENT: Duration = Duration::from_mins(1);

/// What an adapter asks right before it sends a write: whatever it read first may have taken any time, and so may
/// the process have stood still.
#[derive(Clone)]
pub struct Permit {
    clock: Arc<dyn Clock>,
    until: Timestamp,
}

impl Permit {
    /// Leave until the end of a lease.
    pub fn new(clock: Arc<dyn Clock>, until: Timestamp) -> Self {
        Self { clock, until }
    }

    /// Fails when a write that is sent now could be carried out after the lease.
    pub fn holds(&self) -> Result<(), Failure> {
        if in_time(self.clock.now(), self.until, SENT) {
            Ok(())
        } else {
            Err(Failure::new(Fault::Transient, "there was no time left for the write"))
        }
    }
}
