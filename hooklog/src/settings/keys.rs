//! Every setting that is one value. Its flag is `--name-with-dashes`, its variable `HOOKLOG_NAME`.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name in `hooklog.toml`.
    pub name: &'static str,
    /// Its value where nobody gives one; `None` where it is then absent.
    pub default: Option<&'static str>,
    /// What `config check` shows where it is absent.
    pub absent: &'static str,
    /// Whether it names a file or folder. Such a setting has no `_FILE` variable: `HOOKLOG_RULES_FILE=x` would be taken
    /// for the file itself.
    pub path: bool,
}

const fn key(name: &'static str, default: &'static str) -> Key {
    Key { name, default: Some(default), absent: "", path: false }
}

/// All of them, in the order in which `config check` shows them.
pub(super) const KEYS: [Key; 11] = [
    Key { name: "brokers", default: None, absent: "(`up` runs its own broker)", path: false },
    key("prefix", "hooklog."),
    Key { name: "data_dir", default: None, absent: "", path: true },
    key("ingest_addr", "127.0.0.1:8080"),
    key("query_addr", "127.0.0.1:8081"),
    key("kafka_port", "9092"),
    Key { name: "partitions", default: None, absent: "(4 on its own broker, 12 on a given cluster)", path: false },
    Key { name: "replication", default: None, absent: "(1 on its own broker, 3 on a given cluster)", path: false },
    Key { name: "rules", default: None, absent: "(those that are built in)", path: true },
    key("dedup_window_days", "35"),
    key("signature_tolerance", "300"),
];

/// The tables of `hooklog.toml`.
pub(super) const TABLES: [&str; 2] = ["kafka", "sources"];

impl Key {
    pub(super) fn variable(&self) -> String {
        format!("HOOKLOG_{}", self.name.to_uppercase())
    }
}

/// The known name that `typed` was probably meant to be: at most a third of it is wrong.
pub(super) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase().replace('-', "_");
    let near = known.into_iter().map(|name| (distance(&typed, &name.to_lowercase()), name)).min()?;
    (near.0 * 3 <= near.1.len().max(3)).then_some(near.1)
}

/// Letters to add, drop or change to make `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
