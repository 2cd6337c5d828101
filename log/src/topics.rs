//! The topics' names: a prefix from the configuration, then a word that never changes.

/// The names of all topics under one prefix, e.g. `hooklog.raw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
}

impl Topics {
    /// Names under `prefix`, which is put before each word as it is (`hooklog.` by default).
    pub fn with_prefix(prefix: impl Into<String>) -> Topics {
        Topics { prefix: prefix.into() }
    }

    /// Every webhook that was verified, byte for byte.
    pub fn raw(&self) -> String {
        self.named("raw")
    }

    /// Every event once.
    pub fn events(&self) -> String {
        self.named("events")
    }

    /// Pinned partition counts and whatever else all instances must agree on.
    pub fn control(&self) -> String {
        self.named("control")
    }

    /// The consumer group of the service `service`.
    pub fn group(&self, service: &str) -> String {
        self.named(service)
    }

    /// The prefix itself.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn named(&self, word: &str) -> String {
        format!("{}{word}", self.prefix)
    }
}

impl Default for Topics {
    fn default() -> Self {
        Topics::with_prefix("hooklog.")
    }
}
