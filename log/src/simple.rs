//! A consumer that is in no group: it reads the partitions that it is told to, and never asks for a coordinator. So who only
//! reads needs no right to any group.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::native::{self, Fetching};

/// Like [`BaseConsumer`], which it is for everything but its partitions.
pub struct SimpleConsumer<C: ConsumerContext> {
    reading: Mutex<Vec<Reading<C>>>,
    consumer: Arc<BaseConsumer<C>>,
}

struct Reading<C: ConsumerContext> {
    topic: String,
    partition: i32,
    _fetching: Fetching<C>,
}

impl<C: ConsumerContext> SimpleConsumer<C> {
    /// Of a configuration without a `group.id`: see [`crate::Connection::reader_config`].
    ///
    /// # Errors
    /// rdkafka's, where a property is wrong.
    pub fn of(config: &ClientConfig, context: C) -> KafkaResult<SimpleConsumer<C>> {
        if config.get("group.id").is_some() {
            return Err(KafkaError::ClientCreation("a consumer without a group must have no group.id".to_owned()));
        }
        let consumer = Arc::new(config.create_with_context(context)?);
        Ok(SimpleConsumer { reading: Mutex::default(), consumer })
    }

    /// Reads these partitions, each from its offset on, and no others any more.
    ///
    /// # Errors
    /// [`KafkaError::Subscription`] where an element has no offset, or librdkafka refuses.
    pub fn assign(&self, list: &TopicPartitionList) -> KafkaResult<()> {
        let mut reading = self.lock();
        reading.clear();
        for element in list.elements() {
            reading.push(self.start(&element)?);
        }
        Ok(())
    }

    /// Reads nothing any more.
    pub fn unassign(&self) {
        self.lock().clear();
    }

    /// Where it stands in each of its partitions: one past the last record that it gave out or passed over.
    ///
    /// # Errors
    /// librdkafka's.
    pub fn position(&self) -> KafkaResult<TopicPartitionList> {
        let reading = self.lock();
        let mut list = TopicPartitionList::with_capacity(reading.len());
        for one in reading.iter() {
            list.add_partition(&one.topic, one.partition);
        }
        native::position(self.client(), &list).map_err(|failure| KafkaError::MetadataFetch(failure.code))?;
        Ok(list)
    }

    fn start(&self, element: &TopicPartitionListElem<'_>) -> KafkaResult<Reading<C>> {
        let (topic, partition) = (element.topic().to_owned(), element.partition());
        let refused = |text: String| KafkaError::Subscription(format!("{topic}/{partition}: {text}"));
        let at = match element.offset() {
            Offset::Offset(at) => at,
            other => return Err(refused(format!("{other:?} is no offset to begin at"))),
        };
        let fetching = Fetching::start(&self.consumer, &topic, partition, at);
        let fetching = fetching.map_err(|failure| refused(failure.to_string()))?;
        Ok(Reading { topic, partition, _fetching: fetching })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Reading<C>>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: ConsumerContext> Deref for SimpleConsumer<C> {
    type Target = BaseConsumer<C>;

    fn deref(&self) -> &BaseConsumer<C> {
        &self.consumer
    }
}
