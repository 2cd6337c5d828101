//! Those that are compared, each as the command line that starts it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::Options;
use crate::service;

/// One of those that run over the same raw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Entrant {
    /// The bare librdkafka loop in one thread
    Limit,
    /// The bare librdkafka loop in two threads
    Limit2,
    /// `hooklog process`
    Processor,
    /// Kafka Streams with exactly_once_v2
    Streams,
}

/// What every entrant is told.
#[derive(Debug, Clone)]
pub(crate) struct Race {
    pub(crate) brokers: String,
    /// Records in raw.
    pub(crate) total: i64,
    /// An empty directory of this run alone.
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
}

impl Race {
    pub(crate) fn raw(&self) -> String {
        format!("{}raw", self.options.prefix)
    }

    pub(crate) fn events(&self) -> String {
        format!("{}events", self.options.prefix)
    }

    /// A group for this run alone: Kafka Streams does not leave its group, whose offsets cannot be deleted for a while.
    fn own_group(&self) -> Result<String> {
        let name = self.dir.file_name().context("the run has no directory")?;
        Ok(name.to_string_lossy().into_owned())
    }
}

/// How to start an entrant, and the group it commits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) group: String,
}

/// Kafka Streams' own tuning: see the README for how each was chosen.
const STREAMS_SETTINGS: &[(&str, &str)] = &[
    // 16 kB by default, so six of our records: with it Kafka Streams reaches about half the rate.
    ("producer.batch.size", "262144"),
    ("producer.buffer.memory", "134217728"),
];
const JAVA_OPTIONS: &[&str] = &["-XX:+UseParallelGC"];

impl Entrant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Limit2 => "limit2",
            Self::Processor => "processor",
            Self::Streams => "streams",
        }
    }

    pub(crate) fn start(self, race: &Race) -> Result<Start> {
        match self {
            Self::Limit => limit(race, 1),
            Self::Limit2 => limit(race, 2),
            Self::Processor => processor(race),
            Self::Streams => streams(race),
        }
    }

    /// True of the bare loop; the quicker one of a round is that round's limit.
    pub(crate) fn is_limit(self) -> bool {
        matches!(self, Self::Limit | Self::Limit2)
    }

    /// True where it drops duplicates, so that events must hold every event once.
    pub(crate) fn dedups(self) -> bool {
        !self.is_limit()
    }

    /// True where it ends by itself when it is done.
    pub(crate) fn ends_alone(self) -> bool {
        self != Self::Processor
    }
}

fn limit(race: &Race, workers: u32) -> Result<Start> {
    let group = race.own_group()?;
    let args = pairs(&[
        ("--brokers", &race.brokers),
        ("--raw", &race.raw()),
        ("--events", &race.events()),
        ("--group", &group),
        ("--workers", &workers.to_string()),
        ("--deadline-seconds", &race.options.deadline_seconds.to_string()),
    ]);
    let args = std::iter::once(OsString::from("loop")).chain(args).collect();
    Ok(Start { program: std::env::current_exe()?, args, group })
}

fn processor(race: &Race) -> Result<Start> {
    // One broker, given as a cluster: topics with three replicas cannot be made there.
    let mut args = pairs(&[("--brokers", &race.brokers), ("--prefix", &race.options.prefix), ("--replication", "1")]);
    args.insert(0, "process".into());
    args.extend(["--data-dir".into(), race.dir.join("data").into()]);
    let group = format!("{}processor", race.options.prefix);
    Ok(Start { program: service::program(&race.options.hooklog)?, args, group })
}

fn streams(race: &Race) -> Result<Start> {
    let group = race.own_group()?;
    let target = race.options.streams.join("target").canonicalize().context("Kafka Streams is not built")?;
    let classpath = format!("{}:{}", target.join("bench-streams.jar").display(), target.join("libs/*").display());
    let mut args = java_options(&race.options);
    args.extend(["-cp".into(), classpath.into(), "org.hooklog.bench.Main".into()]);
    args.extend(pairs(&[
        ("--brokers", &race.brokers),
        ("--raw", &race.raw()),
        ("--events", &race.events()),
        ("--group", &group),
        ("--records", &race.total.to_string()),
        ("--threads", &race.options.streams_threads.to_string()),
        ("--deadline-seconds", &race.options.deadline_seconds.to_string()),
        ("--state-dir", &race.dir.join("state").display().to_string()),
    ]));
    args.extend(streams_settings(&race.options));
    Ok(Start { program: "java".into(), args, group })
}

fn java_options(options: &Options) -> Vec<OsString> {
    if options.java_options.is_empty() {
        return JAVA_OPTIONS.iter().map(OsString::from).collect();
    }
    options.java_options.iter().map(OsString::from).collect()
}

/// What was asked for comes last and so wins.
fn streams_settings(options: &Options) -> Vec<OsString> {
    let asked = options.streams_settings.iter().map(|setting| setting.split_once('=').unwrap_or((setting, "")));
    let settings: BTreeMap<&str, &str> = STREAMS_SETTINGS.iter().copied().chain(asked).collect();
    settings.into_iter().flat_map(|(name, value)| [format!("--set.{name}").into(), value.into()]).collect()
}

fn pairs(given: &[(&str, &str)]) -> Vec<OsString> {
    given.iter().flat_map(|(name, value)| [OsString::from(name), OsString::from(value)]).collect()
}

/// Builds the Kafka Streams program; quick when nothing changed.
pub(crate) fn build_streams(dir: &Path) -> Result<()> {
    let pom = dir.join("pom.xml");
    let status =
        Command::new("mvn").args(["-q", "-B", "-f"]).arg(&pom).arg("package").stdin(Stdio::null()).status().context(
            "cannot run mvn: install Maven and a JDK (Debian: apt-get install maven openjdk-17-jdk-headless)",
        )?;
    ensure!(status.success(), "mvn could not build {}: see above; it needs Maven Central once", pom.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn race(line: &[&str]) -> Race {
        let options = Line::parse_from(std::iter::once(&"bench").chain(line)).options;
        Race { brokers: "127.0.0.1:9".to_owned(), total: 7, dir: "/tmp/run-1".into(), options }
    }

    fn after(args: &[OsString], name: &str) -> Option<String> {
        let at = args.iter().position(|arg| arg == name)?;
        Some(args.get(at + 1)?.to_string_lossy().into_owned())
    }

    #[test]
    fn all_are_told_the_same_brokers_and_topics() {
        let race = race(&["--prefix", "x.", "--hooklog", "/bin/true"]);
        let (limit, processor) = (limit(&race, 1).expect("a command"), processor(&race).expect("a command"));
        assert_eq!(after(&limit.args, "--raw").as_deref(), Some("x.raw"));
        assert_eq!(after(&limit.args, "--events").as_deref(), Some("x.events"));
        assert_eq!(after(&processor.args, "--prefix").as_deref(), Some("x."));
        assert_eq!(after(&limit.args, "--brokers"), after(&processor.args, "--brokers"));
        assert_eq!((limit.group.as_str(), processor.group.as_str()), ("run-1", "x.processor"));
    }

    #[test]
    fn a_setting_of_kafka_streams_that_is_asked_for_wins_over_the_one_that_we_chose() {
        let race = race(&["--streams-set", "producer.batch.size=16384", "--streams-set", "producer.linger.ms=5"]);
        let settings = streams_settings(&race.options);
        assert_eq!(after(&settings, "--set.producer.batch.size").as_deref(), Some("16384"));
        assert_eq!(after(&settings, "--set.producer.linger.ms").as_deref(), Some("5"));
        assert_eq!(after(&settings, "--set.producer.buffer.memory").as_deref(), Some("134217728"));
    }

    #[test]
    fn a_program_that_is_not_there_is_said_to_be_missing_with_the_way_to_get_it() {
        let error = processor(&race(&["--hooklog", "/nowhere/hooklog"])).expect_err("it is not there");
        assert!(error.to_string().contains("make build"), "{error}");
    }
}
