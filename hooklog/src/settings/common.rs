//! Flags, as far as they are settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

/// Flags that every command has.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Common {
    /// The configuration file [default: hooklog.toml in the working directory, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The Kafka cluster to use, host:port,... [default: `up` runs its own broker]
    #[arg(long, global = true, value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// Where everything is kept [default: hooklog in the XDG data home]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What the topics' names begin with [default: hooklog.]
    #[arg(long, global = true, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// Machine-readable output
    #[arg(long, global = true)]
    pub json: bool,
}

/// What the flags of one call set, by the setting's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(super) config: Option<PathBuf>,
    pub(super) set: BTreeMap<&'static str, String>,
}

impl Flags {
    /// Those that every command has.
    pub(crate) fn of(common: &Common) -> Flags {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        Flags { config: common.config.clone(), set: BTreeMap::new() }
            .with("brokers", common.brokers.as_ref())
            .with("data_dir", common.data_dir.as_ref().map(path))
            .with("prefix", common.prefix.as_ref())
    }

    /// Those, and one of the command's own: `key` is the setting's name in `hooklog.toml`.
    pub(crate) fn with(mut self, key: &'static str, value: Option<impl ToString>) -> Flags {
        debug_assert!(super::keys::KEYS.iter().any(|known| known.name == key), "{key} is no setting");
        if let Some(value) = value {
            self.set.insert(key, value.to_string());
        }
        self
    }
}
