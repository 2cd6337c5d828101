//! Asks a broker who it is.

use crate::process::Identity;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const POLL: Duration = Duration::from_millis(50);
const ONE_ANSWER: Duration = Duration::from_secs(2);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Answers,
    /// The process has ended.
    Ended,
    /// It lives, but does not answer in time.
    Silent,
    Cancelled,
}

/// Waits until this process answers at its port as this cluster.
pub(super) fn wait(
    process: &Identity,
    port: u16,
    cluster_id: &str,
    wait: Duration,
    cancel: &CancellationToken,
) -> Readiness {
    let deadline = Instant::now() + wait;
    loop {
        match () {
            () if cancel.is_cancelled() => return Readiness::Cancelled,
            () if !process.is_alive() => return Readiness::Ended,
            () if ask(port).as_deref() == Some(cluster_id) => return Readiness::Answers,
            () if Instant::now() >= deadline => return Readiness::Silent,
            () => thread::sleep(POLL),
        }
    }
}

/// The id of the cluster that answers a metadata request at this port, once it has a broker in it.
fn ask(port: u16) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // A client takes threads and time; a refused connection takes neither.
    TcpStream::connect_timeout(&address, ONE_ANSWER).ok()?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address.to_string()).set_log_level(RDKafkaLogLevel::Emerg);
    let client: BaseConsumer = config.create().ok()?;
    let metadata = client.fetch_metadata(None, ONE_ANSWER).ok()?;
    let cluster_id = client.client().fetch_cluster_id(ONE_ANSWER)?;
    (!metadata.brokers().is_empty()).then_some(cluster_id)
}
