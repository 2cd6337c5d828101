//! The topics as the pipeline needs them: created with every setting explicit, or checked; partition counts pinned.

mod judge;
mod pins;
mod topic_spec;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hooklog_schemas::ids::Span;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::connection::{ASK, Connection};
use crate::error::Error;
use crate::native::{self, TopicId};
use crate::topics::Topics;
use judge::{Found, Verdict};
use topic_spec::TopicSpec;

/// How long a new topic may take to become visible.
const VISIBLE: Duration = Duration::from_secs(30);

/// How many brokers are to keep each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// So many: somebody said so, or there can be no more.
    Of(u32),
    /// Three. A cluster that shows fewer brokers may have more that are down, and topics that it would be given now would keep
    /// fewer replicas for ever: new topics are refused there. Brokers that are fenced stand in no answer that librdkafka can ask
    /// for.
    Three,
}

/// What the topics must serve.
#[derive(Clone, Debug)]
pub struct Needs {
    /// Their names.
    pub topics: Topics,
    /// Partitions of `raw` and `events` where these do not exist yet.
    pub partitions: u32,
    /// Replicas of topics that do not exist yet; existing ones with fewer are told of.
    pub replication: Replication,
    /// How long a repeated event is recognised: `raw` must be kept longer.
    pub window: Span,
}

/// A topic that is there and fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The topic's full name.
    pub name: String,
    /// How many of its partitions are used, for ever.
    pub partitions: u32,
    /// Kafka's id of it.
    pub id: TopicId,
}

/// All topics, there and fitting.
#[derive(Clone, Debug)]
pub struct Provisioned {
    /// The names.
    pub topics: Topics,
    /// `raw`.
    pub raw: Pinned,
    /// `events`.
    pub events: Pinned,
    /// What is allowed and yet should be known, a sentence each.
    pub warnings: Vec<String>,
}

/// Creates what is missing, checks what is there, pins the partition counts. Blocks: not for a thread of a runtime.
///
/// # Errors
/// [`Error::Contradiction`] lists all that does not fit, [`Error::Create`] and [`Error::Unreachable`] say why not.
pub fn ensure(connection: &Connection, needs: &Needs) -> Result<Provisioned, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(ensured(connection, needs))
}

async fn ensured(connection: &Connection, needs: &Needs) -> Result<Provisioned, Error> {
    let admin = connection.admin()?;
    let brokers = brokers(connection, &admin)?;
    let all = topic_spec::topics(needs, brokers);
    create_missing(connection, &admin, &all, &ids(&admin, &all)?, || enough(needs, brokers)).await?;
    let ids = visible(&admin, &all).await?;
    let pinned = pins::agree(connection, &needs.topics, &counted(connection, &admin, &all)?).await?;
    let verdict = examine(connection, &admin, &all, &pinned, needs.window).await?;
    if !verdict.contradictions.is_empty() {
        return Err(Error::Contradiction(verdict.contradictions));
    }
    let pin = |name: String| Pinned { partitions: pinned[&name], id: ids[&name].clone(), name };
    let topics = needs.topics.clone();
    Ok(Provisioned { raw: pin(topics.raw()), events: pin(topics.events()), topics, warnings: verdict.warnings })
}

type Admin = AdminClient<DefaultClientContext>;

fn brokers(connection: &Connection, admin: &Admin) -> Result<usize, Error> {
    let metadata =
        admin.inner().fetch_metadata(None, ASK).map_err(connection.unreachable("for the cluster's brokers"))?;
    Ok(metadata.brokers().len())
}

fn counted(connection: &Connection, admin: &Admin, all: &[TopicSpec]) -> Result<BTreeMap<String, u32>, Error> {
    let count = |spec: &TopicSpec| Ok((spec.name.clone(), shape(connection, admin, &spec.name)?.0));
    all.iter().map(count).collect()
}

/// Whether topics may be created on a cluster that shows so many brokers.
fn enough(needs: &Needs, brokers: usize) -> Result<(), Error> {
    let too_few = needs.replication == Replication::Three && brokers < 3;
    if too_few { Err(Error::TooFewBrokers { brokers }) } else { Ok(()) }
}

/// The partitions that a topic has, and the fewest replicas of one of them.
fn shape(connection: &Connection, admin: &Admin, topic: &str) -> Result<(u32, u32), Error> {
    let metadata = admin.inner().fetch_metadata(Some(topic), ASK);
    let metadata = metadata.map_err(connection.unreachable("for a topic's partitions"))?;
    let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
    let fewest = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
    let count = |n: usize| u32::try_from(n).expect("Kafka counts partitions and replicas in 31 bits");
    Ok((count(partitions.len()), count(fewest)))
}

/// Kafka's ids of the topics that exist.
fn ids(admin: &Admin, all: &[TopicSpec]) -> Result<BTreeMap<String, TopicId>, Error> {
    let names: Vec<&str> = all.iter().map(|spec| spec.name.as_str()).collect();
    let ids = native::topic_ids(admin.inner(), &names, ASK)
        .map_err(|failure| Error::Native { what: "the topics' ids", failure })?;
    Ok(names.iter().zip(ids).filter_map(|(name, id)| Some(((*name).to_owned(), id?))).collect())
}

async fn create_missing(
    connection: &Connection,
    admin: &Admin,
    all: &[TopicSpec],
    there: &BTreeMap<String, TopicId>,
    may_create: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let missing: Vec<&TopicSpec> = all.iter().filter(|spec| !there.contains_key(&spec.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    may_create()?;
    let options = AdminOptions::new().operation_timeout(Some(ASK)).request_timeout(Some(ASK));
    let new: Vec<NewTopic<'_>> = missing.iter().map(|spec| new_topic(spec)).collect();
    let unreachable = connection.unreachable("to create topics");
    let made = admin.create_topics(&new, &options).await.map_err(&unreachable)?;
    for answer in made {
        match answer {
            // Another service that starts at the same moment made it.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) if is_passing(code) => return Err(unreachable(KafkaError::AdminOp(code))),
            Err((topic, code)) => return Err(Error::Create { topic, reason: code.to_string() }),
        }
    }
    Ok(())
}

/// The controller is away, or busy.
fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::RequestTimedOut
            | Code::OperationTimedOut
            | Code::NotController
            | Code::BrokerNotAvailable
            | Code::BrokerTransportFailure
            | Code::ThrottlingQuotaExceeded
    )
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let replication = TopicReplication::Fixed(spec.replication.cast_signed());
    let topic = NewTopic::new(&spec.name, spec.partitions.cast_signed(), replication);
    spec.settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
}

/// Waits until every topic has an id and a leader for each partition: a new one takes a moment.
async fn visible(admin: &Admin, all: &[TopicSpec]) -> Result<BTreeMap<String, TopicId>, Error> {
    let deadline = Instant::now() + VISIBLE;
    loop {
        let there = ids(admin, all)?;
        let led = |spec: &&TopicSpec| has_leaders(admin, &spec.name);
        match all.iter().find(|spec| !there.contains_key(&spec.name) || !led(spec)) {
            None => return Ok(there),
            Some(spec) if Instant::now() >= deadline => return Err(Error::NoTopic(spec.name.clone())),
            Some(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn has_leaders(admin: &Admin, topic: &str) -> bool {
    let Ok(metadata) = admin.inner().fetch_metadata(Some(topic), ASK) else { return false };
    let Some(topic) = metadata.topics().first() else { return false };
    !topic.partitions().is_empty() && topic.partitions().iter().all(|p| p.leader() >= 0 && p.error().is_none())
}

async fn examine(
    connection: &Connection,
    admin: &Admin,
    all: &[TopicSpec],
    pinned: &BTreeMap<String, u32>,
    window: Span,
) -> Result<Verdict, Error> {
    let resources: Vec<_> = all.iter().map(|spec| ResourceSpecifier::Topic(&spec.name)).collect();
    let options = AdminOptions::new().request_timeout(Some(ASK));
    let configs = admin.describe_configs(&resources, &options).await;
    let configs = configs.map_err(connection.unreachable("for the topics' settings"))?;
    let mut verdict = Verdict::default();
    for (spec, config) in all.iter().zip(configs) {
        let config = config.map_err(|code| {
            let name = &spec.name;
            let refused = format!(
                "{name}: its settings cannot be read ({code}); the client's user needs the right to describe them"
            );
            match code {
                RDKafkaErrorCode::TopicAuthorizationFailed => Error::Contradiction(vec![refused]),
                code => connection.unreachable("for a topic's settings")(KafkaError::AdminOp(code)),
            }
        })?;
        let setting = |entry: &rdkafka::admin::ConfigEntry| Some((entry.name.clone(), entry.value.clone()?));
        let settings = config.entries.iter().filter_map(setting).collect();
        let (partitions, replication) = shape(connection, admin, &spec.name)?;
        let found = Found { partitions, replication, settings };
        verdict.join(judge::judge(spec, pinned[&spec.name], &found, window));
    }
    Ok(verdict)
}
