//! One Apache Kafka for a whole test process, or one of its own.

use crate::program::Program;
use rdkafka::ClientConfig;
use std::sync::OnceLock;

static SHARED: OnceLock<Broker> = OnceLock::new();

/// The local broker in a temporary data directory, at a free port. It ends, and its data with it, when this value is
/// dropped or this process is gone, however it went: the broker's `hooklog` waits for the end of a pipe that we hold.
#[derive(Debug)]
pub struct Broker {
    program: Program,
    address: String,
}

impl Broker {
    /// The broker that all tests of this process share; the first one that asks starts it. `binary` is
    /// `env!("CARGO_BIN_EXE_hooklog")`. Use [`crate::unique_prefix`] for its topics and groups.
    ///
    /// # Panics
    /// It does not start.
    pub fn shared(binary: &str) -> &'static Self {
        SHARED.get_or_init(|| Self::start(binary))
    }

    /// A broker for one test alone.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(binary: &str) -> Self {
        let arguments = ["broker", "run", "--temporary", "--kafka-port", "0"];
        let program = Program::start(binary, &arguments).unwrap_or_else(|refused| panic!("no broker: {refused}"));
        let address = program.ready()["brokers"].as_str().expect("it says where the broker is").to_owned();
        Self { program, address }
    }

    /// `host:port`, for `bootstrap.servers`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The `hooklog` that runs it.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// A client's configuration that names this broker and nothing else.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }
}
