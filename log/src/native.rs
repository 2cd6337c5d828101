//! Calls of librdkafka that its Rust binding lacks or spoils; the only unsafe code of the workspace.
//!
//! `commit_transaction` of rdkafka 0.39 flushes in slices of 100 ms, and its errors can hide whether a transaction must be
//! aborted. The calls here are the bare ones, and [`Failure`] keeps the class of the error.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientContext, TopicPartitionList};
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::{
    RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
};

/// Kafka's own id of a topic, as Kafka's tools print it: a topic made anew under the same name has another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicId(pub String);

/// What can be done about a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The client is of no more use: drop it and make a new one.
    Fatal,
    /// The transaction is lost, the client is not: abort, and do the work again.
    Abortable,
    /// The same call may be made again.
    Retriable,
    /// None of these; the outcome of the call may be unknown.
    Other,
}

/// An error with its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What can be done about it.
    pub class: Class,
    /// librdkafka's or the broker's code.
    pub code: RDKafkaErrorCode,
    /// What it says.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}, {:?})", self.text, self.code, self.class)
    }
}

impl std::error::Error for Failure {}

/// Commits the producer's open transaction: flushes what is queued, then ends it. Something else must be polling the
/// producer meanwhile, as `ThreadedProducer` does.
///
/// # Errors
/// [`Failure`]; after anything but [`Class::Abortable`] the outcome is unknown.
pub fn commit<C: ClientContext>(client: &Client<C>, timeout: Duration) -> Result<(), Failure> {
    // SAFETY: the client lives as long as the borrow; the call takes no other pointer.
    unsafe { taken(sys::rd_kafka_commit_transaction(client.native_ptr(), millis(timeout))) }
}

/// Aborts the producer's open transaction and drops what is queued in it.
///
/// # Errors
/// [`Failure`]; the transaction then ends with the producer's successor or its timeout.
pub fn abort<C: ClientContext>(client: &Client<C>, timeout: Duration) -> Result<(), Failure> {
    // SAFETY: as in `commit`.
    unsafe { taken(sys::rd_kafka_abort_transaction(client.native_ptr(), millis(timeout))) }
}

/// Waits until all that is queued is acknowledged or has failed. Something else must be polling the producer.
///
/// # Errors
/// [`Failure`] with the code `OperationTimedOut` where that took longer than `timeout`.
pub fn flush<C: ClientContext>(client: &Client<C>, timeout: Duration) -> Result<(), Failure> {
    // SAFETY: as in `commit`.
    let code = unsafe { sys::rd_kafka_flush(client.native_ptr(), millis(timeout)) };
    if code == RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(failure(code, String::new())) }
}

/// Kafka's ids of `topics`, in that order; `None` for a topic that does not exist.
///
/// # Errors
/// [`Failure`] where no broker answers in time or the answer is refused.
pub fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<Option<TopicId>>, Failure> {
    Ok(describe_topics(client, topics, timeout)?.into_iter().map(Result::ok).collect())
}

/// Kafka's ids of `topics`, in that order, or why the cluster does not tell one: `UnknownTopicOrPartition` where the topic
/// does not exist, anything else where that is not known.
///
/// # Errors
/// [`Failure`] where no broker answers in time or the answer is refused.
pub fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<Result<TopicId, RDKafkaErrorCode>>, Failure> {
    let names: Vec<CString> = topics
        .iter()
        .map(|t| CString::new(*t))
        .collect::<Result<_, _>>()
        .map_err(|_| failure(RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "a topic's name contains a NUL byte".to_owned()))?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: every pointer is live until the end of this function; what librdkafka allocates is owned by a guard that
    // frees it once, after the last use of what lies inside it.
    unsafe {
        let asked = Guard(
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            sys::rd_kafka_TopicCollection_destroy,
        );
        let options = Guard(
            sys::rd_kafka_AdminOptions_new(
                client.native_ptr(),
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
            sys::rd_kafka_AdminOptions_destroy,
        );
        let mut why = [0; 256];
        sys::rd_kafka_AdminOptions_set_request_timeout(options.0, millis(timeout), why.as_mut_ptr(), why.len());
        let queue = Guard(sys::rd_kafka_queue_new(client.native_ptr()), sys::rd_kafka_queue_destroy);
        sys::rd_kafka_DescribeTopics(client.native_ptr(), asked.0, options.0, queue.0);
        let event = Guard(sys::rd_kafka_queue_poll(queue.0, millis(timeout)), sys::rd_kafka_event_destroy);
        described(event.0, topics)
    }
}

/// One partition that is being fetched without a group, into the queue that [`BaseConsumer::poll`] serves where there is no
/// `group.id`. The fetching ends when this is dropped.
///
/// `rd_kafka_assign` wants a group and then looks for its coordinator for as long as the client lives; this is librdkafka's
/// older way, its "simple consumer".
pub(crate) struct Fetching<C: ConsumerContext> {
    topic: *mut sys::rd_kafka_topic_t,
    partition: i32,
    /// The topic's handle is of no use without its client.
    _client: Arc<BaseConsumer<C>>,
}

// SAFETY: handles of librdkafka may be used by any thread, and this one's is used when it is dropped and never else.
unsafe impl<C: ConsumerContext> Send for Fetching<C> {}

impl<C: ConsumerContext> Fetching<C> {
    /// Begins at the offset `at`. `consumer` must have no `group.id`.
    pub(crate) fn start(
        consumer: &Arc<BaseConsumer<C>>,
        topic: &str,
        partition: i32,
        at: i64,
    ) -> Result<Fetching<C>, Failure> {
        let name = CString::new(topic)
            .map_err(|_| failure(RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "a topic's name contains a NUL byte".to_owned()))?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as the reference that is kept; the queue is released after its only use here,
        // librdkafka holds its own reference; a null topic is never used.
        unsafe {
            let topic = sys::rd_kafka_topic_new(client, name.as_ptr(), std::ptr::null_mut());
            if topic.is_null() {
                return Err(failure(sys::rd_kafka_last_error(), String::new()));
            }
            let queue = Guard(sys::rd_kafka_queue_get_main(client), sys::rd_kafka_queue_destroy);
            if sys::rd_kafka_consume_start_queue(topic, partition, at, queue.0) != 0 {
                let why = failure(sys::rd_kafka_last_error(), String::new());
                sys::rd_kafka_topic_destroy(topic);
                return Err(why);
            }
            Ok(Fetching { topic, partition, _client: Arc::clone(consumer) })
        }
    }
}

impl<C: ConsumerContext> Drop for Fetching<C> {
    fn drop(&mut self) {
        // SAFETY: made by `start`, released nowhere else; the client is still there.
        unsafe {
            sys::rd_kafka_consume_stop(self.topic, self.partition);
            sys::rd_kafka_topic_destroy(self.topic);
        }
    }
}

/// Sets each offset of `list` to where the client stands in that partition: one past the last record that it gave out or
/// passed over.
pub(crate) fn position<C: ClientContext>(client: &Client<C>, list: &TopicPartitionList) -> Result<(), Failure> {
    // SAFETY: client and list live as long as the borrows; the list is written to by nobody else meanwhile, since nothing
    // but this function of ours has it.
    let code = unsafe { sys::rd_kafka_position(client.native_ptr(), list.ptr()) };
    if code == RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(failure(code, String::new())) }
}

/// # Safety
/// `event` is null or an event of `DescribeTopics` that outlives the call.
unsafe fn described(
    event: *mut sys::rd_kafka_event_t,
    topics: &[&str],
) -> Result<Vec<Result<TopicId, RDKafkaErrorCode>>, Failure> {
    // SAFETY: what is read here lies inside the event, or is null and checked.
    unsafe {
        if event.is_null() {
            return Err(failure(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT, String::new()));
        }
        let code = sys::rd_kafka_event_error(event);
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if code != RD_KAFKA_RESP_ERR_NO_ERROR || result.is_null() {
            return Err(failure(code, text(sys::rd_kafka_event_error_string(event))));
        }
        let mut count = 0;
        let descriptions = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        // A topic that the answer leaves out is one of which nothing is known.
        let mut ids = vec![Err(RDKafkaErrorCode::Unknown); topics.len()];
        for n in 0..count {
            let description = *descriptions.add(n);
            let name = text(sys::rd_kafka_TopicDescription_name(description));
            if let Some(at) = topics.iter().position(|topic| *topic == name) {
                ids[at] = described_id(description);
            }
        }
        Ok(ids)
    }
}

/// # Safety
/// `description` is a description of a topic that outlives the call.
unsafe fn described_id(description: *const sys::rd_kafka_TopicDescription_t) -> Result<TopicId, RDKafkaErrorCode> {
    // SAFETY: what is read here lies inside the description.
    unsafe {
        let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(description));
        if code != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(code.into());
        }
        let uuid = sys::rd_kafka_TopicDescription_topic_id(description);
        let halves = [sys::rd_kafka_Uuid_most_significant_bits(uuid), sys::rd_kafka_Uuid_least_significant_bits(uuid)];
        // A broker from before Kafka 2.8 tells no ids: every topic would look the same as every other.
        if halves == [0, 0] { Err(RDKafkaErrorCode::UnsupportedVersion) } else { Ok(topic_id(halves)) }
    }
}

/// Base64 in the URL's alphabet without padding: what `kafka-topics --describe` prints.
fn topic_id([high, low]: [i64; 2]) -> TopicId {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = (u128::from(high.cast_unsigned()) << 64) | u128::from(low.cast_unsigned());
    // 22 letters of 6 bits hold 132: the last one carries the lowest 2 bits and 4 zeros.
    let letter = |n: u32| {
        let six = if n < 21 { bits >> (122 - 6 * n) } else { bits << 4 } & 63;
        char::from(ALPHABET[usize::try_from(six).expect("six bits")])
    };
    TopicId((0..22).map(letter).collect())
}

/// # Safety
/// `error` is null or an error that nobody else frees.
unsafe fn taken(error: *mut sys::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: not null; the guard frees it after the last use.
    unsafe {
        let error = Guard(error, sys::rd_kafka_error_destroy);
        let class = if sys::rd_kafka_error_is_fatal(error.0) != 0 {
            Class::Fatal
        } else if sys::rd_kafka_error_txn_requires_abort(error.0) != 0 {
            Class::Abortable
        } else if sys::rd_kafka_error_is_retriable(error.0) != 0 {
            Class::Retriable
        } else {
            Class::Other
        };
        Err(Failure { class, ..failure(sys::rd_kafka_error_code(error.0), text(sys::rd_kafka_error_string(error.0))) })
    }
}

fn failure(code: sys::rd_kafka_resp_err_t, text: String) -> Failure {
    let class = if code == RD_KAFKA_RESP_ERR__FATAL { Class::Fatal } else { Class::Other };
    let code = RDKafkaErrorCode::from(code);
    let text = if text.is_empty() { code.to_string() } else { text };
    Failure { class, code, text }
}

/// # Safety
/// `pointer` is null or a C string that outlives the call.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null, ends in a NUL byte by librdkafka's contract.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}

/// Frees what librdkafka allocated, once.
struct Guard<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by librdkafka for us and freed nowhere else.
            unsafe { (self.1)(self.0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_is_written_as_kafkas_tools_write_it() {
        // Base64 (URL alphabet) of 16 bytes, as Python's base64.urlsafe_b64encode gives it.
        assert_eq!(topic_id([0, 0]).0, "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(topic_id([-1, -1]).0, "_____________________w");
        assert_eq!(topic_id([0x0123_4567_89ab_cdef, 0x0011_2233_4455_6677]).0, "ASNFZ4mrze8AESIzRFVmdw");
    }
}
