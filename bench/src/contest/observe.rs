//! Watches a running contestant from outside: the group's committed offsets, the kernel's accounting of CPU.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use super::cpu;
use super::figures::Sample;
use crate::child::Program;
use crate::clients;
use crate::topics;

/// Between two looks. Each costs the broker one small request, the same for every contestant.
const PERIOD: Duration = Duration::from_millis(20);
const ANSWER: Duration = Duration::from_secs(10);

/// Where to look.
#[derive(Debug, Clone)]
pub(crate) struct Watched<'a> {
    pub(crate) brokers: &'a str,
    pub(crate) raw: &'a str,
    pub(crate) group: &'a str,
}

/// Samples `program`, which was started at `start`, until its group has committed `total` records.
pub(crate) fn watch(
    program: &mut Program,
    watched: &Watched<'_>,
    start: Instant,
    total: i64,
    within: Duration,
) -> Result<Vec<Sample>> {
    let observer: BaseConsumer = clients::observer(watched.brokers, watched.group).create()?;
    let mut samples = Vec::new();
    loop {
        // Asked before the offsets: what it committed before it ended is then surely among them.
        let ended = cpu::usage(program.pid())?.ended;
        let committed = committed(&observer, watched.raw)?;
        let at = start.elapsed();
        samples.push(Sample { at: at.as_secs_f64(), committed, cpu: cpu::usage(program.pid())?.seconds });
        if committed >= total {
            return Ok(samples);
        }
        if ended {
            program.ended()?;
            bail!("the program ended well after {committed} of {total} records");
        }
        ensure!(at < within, "{committed} of {total} records after {within:?}: see its log, or load fewer records");
        std::thread::sleep(PERIOD);
    }
}

fn committed(observer: &BaseConsumer, raw: &str) -> Result<i64> {
    let mut asked = TopicPartitionList::new();
    (0..topics::PARTITIONS).for_each(|partition| {
        asked.add_partition(raw, partition);
    });
    let answer = match observer.committed_offsets(asked, ANSWER) {
        // The coordinator of a group that was just made is being elected: nothing is committed yet.
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NotCoordinator) => return Ok(0),
        answer => answer.context("the broker does not say what the group committed")?,
    };
    Ok(answer
        .elements()
        .iter()
        .map(|element| match element.offset() {
            Offset::Offset(next) => next,
            _ => 0,
        })
        .sum())
}
