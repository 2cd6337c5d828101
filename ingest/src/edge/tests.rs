//! The edge with a test in Kafka's place at the end of the queue: what is asked of it and what its answers become.
//! Nothing here says anything of Kafka itself.

mod answers;
mod canaries;
mod manners;
mod sockets;

use std::time::Duration;

use hooklog_schemas::{Namespace, Offset, Partition, RawPosition};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::record::Record;
use crate::signature::{Secret, tests::signed};
use crate::source::Source;
use crate::writer::{Answer, Append, Readiness};

/// Longer than any machine is slow; a wait that is met ends at once.
const LONG: Duration = Duration::from_secs(20);
const SECRET: &str = "whsec_canary0shop";

/// A router, and the other end of its queue.
struct Stage {
    router: Router,
    appends: mpsc::Receiver<Append>,
    readiness: watch::Sender<Readiness>,
    limits: Limits,
    app: Arc<App>,
}

fn limits() -> Limits {
    Limits {
        header_timeout: LONG,
        body_timeout: LONG,
        ack_timeout: LONG,
        drain: LONG,
        connection_life: LONG,
        ..Limits::default()
    }
}

fn source(name: &str, namespace: &str, secrets: &[&str]) -> Source {
    let secrets = secrets.iter().map(|text| Secret::new((*text).to_owned()).unwrap()).collect();
    Source::new(name, Namespace::new(namespace).unwrap(), secrets).unwrap()
}

fn stage(limits: Limits) -> Stage {
    let sources = [source("shop", "stripe", &[SECRET, "whsec_canary0old"]), source("b", "other", &["whsec_canary0b"])];
    let (queue, appends) = mpsc::channel(limits.queue_records);
    let (readiness, known) = watch::channel(Readiness::Ready);
    let appender = Appender::new(queue, known, limits.ack_timeout);
    let app = Arc::new(App::new(Sources::new(&sources).unwrap(), appender, limits.clone()));
    Stage { router: router(app.clone()), appends, readiness, limits, app }
}

fn at(partition: i32, offset: i64) -> Answer {
    Ok(RawPosition { partition: Partition(partition), offset: Offset(offset) })
}

/// Answers every append the same way and hands the records on.
fn answering(mut appends: mpsc::Receiver<Append>, answer: Answer) -> mpsc::UnboundedReceiver<Record> {
    let (seen, records) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(append) = appends.recv().await {
            let _ = seen.send(append.record);
            let _ = append.answer.send(answer);
        }
    });
    records
}

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

fn signature(body: &[u8]) -> String {
    signed(SECRET, now(), body)
}
