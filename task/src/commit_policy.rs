//! When a transaction has waited long enough. Pure.
//!
//! A commit costs the coordinator a few milliseconds whatever it holds: under load many records share one, and when there
//! is little to do nobody waits for company.

use std::time::Duration;

/// The limits of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitPolicy {
    /// How long its first record waits when there is little to do.
    pub idle: Duration,
    /// How long its first record waits under load.
    pub busy: Duration,
    /// From how many records on there is load.
    pub busy_threshold: usize,
    /// How many records it holds at most.
    pub records: usize,
}

impl Default for CommitPolicy {
    fn default() -> Self {
        CommitPolicy {
            idle: Duration::from_millis(15),
            busy: Duration::from_millis(100),
            busy_threshold: 500,
            records: 20_000,
        }
    }
}

impl CommitPolicy {
    /// Whether to commit now. `waited` counts from the first record's folding.
    pub fn is_due(&self, records: usize, waited: Duration) -> bool {
        records > 0 && (records >= self.records || waited >= self.patience(records))
    }

    /// How long a poll may wait for the next record.
    pub fn poll(&self, records: usize, waited: Duration, nothing_open: Duration) -> Duration {
        if records == 0 { nothing_open } else { self.patience(records).saturating_sub(waited) }
    }

    /// A transaction that has filled quickly is one of many: there is load, and more to come.
    fn patience(&self, records: usize) -> Duration {
        if records >= self.busy_threshold { self.busy } else { self.idle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_lone_record_waits_briefly_and_many_wait_up_to_the_limit() {
        let commit_policy = CommitPolicy::default();
        assert!(!commit_policy.is_due(0, ms(9999)), "nothing to commit");
        assert!(!commit_policy.is_due(1, ms(14)));
        assert!(commit_policy.is_due(1, ms(15)));
        assert!(!commit_policy.is_due(500, ms(99)));
        assert!(commit_policy.is_due(500, ms(100)));
        assert!(commit_policy.is_due(20_000, ms(0)));
    }

    #[test]
    fn polling_never_outwaits_an_open_transaction() {
        let commit_policy = CommitPolicy::default();
        assert_eq!(commit_policy.poll(0, ms(0), ms(500)), ms(500));
        assert_eq!(commit_policy.poll(3, ms(4), ms(500)), ms(11));
        assert_eq!(commit_policy.poll(3, ms(40), ms(500)), ms(0));
        assert_eq!(commit_policy.poll(500, ms(40), ms(500)), ms(60));
    }
}
