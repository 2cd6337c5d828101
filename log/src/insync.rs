//! How many replicas must have a record before it is acknowledged.

use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::connection::{ASK, Connection};
use crate::error::Error;

const SETTING: &str = "min.insync.replicas";

/// `min.insync.replicas` of a topic; 1 where we may not know it. Blocks: not for a thread of a runtime.
///
/// # Errors
/// [`Error::Unreachable`] where Kafka does not say.
pub fn least(connection: &Connection, topic: &str) -> Result<usize, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let admin = connection.admin()?;
    let unreachable = connection.unreachable("for min.insync.replicas");
    let (asked, options) = ([ResourceSpecifier::Topic(topic)], AdminOptions::new().request_timeout(Some(ASK)));
    let answer = runtime.block_on(admin.describe_configs(&asked, &options)).map_err(&unreachable)?;
    match answer.into_iter().next() {
        Some(Ok(config)) => {
            let value = config.entries.iter().find(|entry| entry.name == SETTING).and_then(|entry| entry.value.clone());
            Ok(value.and_then(|value| value.parse().ok()).unwrap_or(1))
        }
        Some(Err(RDKafkaErrorCode::TopicAuthorizationFailed)) => {
            tracing::warn!(
                topic,
                "the client's user has no right to describe its settings, so too few replicas in sync are not noticed"
            );
            Ok(1)
        }
        Some(Err(code)) => Err(unreachable(KafkaError::AdminOp(code))),
        None => Ok(1),
    }
}
