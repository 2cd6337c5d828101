//! Waits until the cluster answers: nothing ends because Kafka is away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::connection::{Connection, Isolation};
use crate::error::Error;

/// The first question may take so long, each next one twice as long up to the limit, since a busy machine is slow; and the
/// pause after one without an answer.
const FIRST_ANSWER: Duration = Duration::from_secs(2);
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
/// Between two times that it is said.
const TELL: Duration = Duration::from_secs(10);
/// A broker that only just started may not know its users yet.
const REFUSALS: u32 = 3;

/// Waits until a broker answers; `tell` hears every ten seconds why none has. False where `is_wanted` says no meanwhile.
///
/// # Errors
/// [`Error::Client`] where a property is wrong, [`Error::Refused`] where the brokers do not take our credentials.
pub fn wait(connection: &Connection, is_wanted: impl Fn() -> bool, tell: impl Fn(&str)) -> Result<bool, Error> {
    let (mut told, mut refusals, mut patience): (Option<Instant>, u32, Duration) = (None, 0, FIRST_ANSWER);
    while is_wanted() {
        let why = match ask(connection, patience)? {
            Answer::Here => return Ok(true),
            Answer::Away(why) => why,
            Answer::Refused(reason) => {
                refusals += 1;
                if refusals >= REFUSALS {
                    return Err(Error::Refused { brokers: connection.brokers.clone(), reason });
                }
                reason
            }
        };
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            told = Some(Instant::now());
            tell(&why);
        }
        std::thread::sleep(PAUSE);
        patience = (patience * 2).min(LONGEST_ANSWER);
    }
    Ok(false)
}

enum Answer {
    Here,
    Away(String),
    Refused(String),
}

/// By a new client each time: one that failed waits longer and longer before it tries again.
fn ask(connection: &Connection, patience: Duration) -> Result<Answer, Error> {
    let refused = Refusal::default();
    let config = connection.reader_config(Isolation::Uncommitted);
    let client: BaseConsumer<Refusal> = config.create_with_context(refused.clone()).map_err(Error::Client)?;
    let asked = client.fetch_metadata(None, patience);
    // What the client library has to tell is told while it is polled.
    while client.poll(Duration::ZERO).is_some() {}
    let Err(error) = asked else { return Ok(Answer::Here) };
    let refusal = refused.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(refusal.map_or_else(|| Answer::Away(error.to_string()), Answer::Refused))
}

/// Keeps why the brokers do not take our credentials, if that is so.
#[derive(Clone, Default)]
struct Refusal(Arc<Mutex<Option<String>>>);

impl ClientContext for Refusal {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    #[test]
    fn a_cluster_that_is_away_is_waited_for_until_nobody_wants_it_and_why_is_told() {
        let (asked, told) = (Cell::new(0), RefCell::new(Vec::new()));
        let is_wanted = || asked.replace(asked.get() + 1) < 2;
        let came = wait(&Connection::to("127.0.0.1:1"), is_wanted, |why| told.borrow_mut().push(why.to_owned()));
        assert!(matches!(came, Ok(false)));
        assert_eq!(told.borrow().len(), 1, "twice in ten seconds is too often");
    }
}
