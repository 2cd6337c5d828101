//! The addresses that are served.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch::Receiver;

use crate::broker::State;
use crate::datadir::RunFile;
use crate::process::Identity;
use crate::settings::Settings;
use crate::up::roles::Roles;

/// A process that got SIGKILL gives its ports back an instant after its locks.
const DYING: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(50);

/// Bound for as long as the process lives, whoever serves them: nobody is refused while something is started anew.
pub(crate) struct Listeners {
    ingest: Option<std::net::TcpListener>,
    query: Option<std::net::TcpListener>,
}

/// Where they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) ingest: Option<SocketAddr>,
    pub(crate) query: Option<SocketAddr>,
}

impl Listeners {
    pub(crate) async fn bind(roles: &Roles, settings: &Settings) -> anyhow::Result<Listeners> {
        let ingest = if roles.ingests() { Some(bind(settings.ingest_addr, "--ingest-addr").await?) } else { None };
        let query = if roles.projects() { Some(bind(settings.query_addr, "--query-addr").await?) } else { None };
        let kept = |listener: Option<TcpListener>| listener.map(TcpListener::into_std).transpose();
        Ok(Listeners { ingest: kept(ingest)?, query: kept(query)? })
    }

    /// To be served by one, and by another one after it: connections wait in one queue.
    pub(crate) fn ingest(&self) -> std::io::Result<Option<TcpListener>> {
        another(self.ingest.as_ref())
    }

    /// As [`Listeners::ingest`].
    pub(crate) fn query(&self) -> std::io::Result<Option<TcpListener>> {
        another(self.query.as_ref())
    }

    pub(super) fn addresses(&self) -> anyhow::Result<Addresses> {
        let of = |listener: &Option<std::net::TcpListener>| listener.as_ref().map(|one| one.local_addr()).transpose();
        Ok(Addresses { ingest: of(&self.ingest)?, query: of(&self.query)? })
    }
}

fn another(listener: Option<&std::net::TcpListener>) -> std::io::Result<Option<TcpListener>> {
    listener.map(|listener| TcpListener::from_std(listener.try_clone()?)).transpose()
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let deadline = Instant::now() + DYING;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            bound => {
                let advice = || format!("{address} cannot be listened on; choose another address with {flag}");
                return bound.with_context(advice);
            }
        }
    }
}

impl Addresses {
    /// What other commands find us by.
    pub(super) fn run_file(&self, brokers: &str, states: Option<&Receiver<State>>) -> anyhow::Result<RunFile> {
        let broker_pid = states.and_then(|states| match &*states.borrow() {
            State::Running { pid } => Some(*pid),
            State::Restarting { .. } | State::Unsound { .. } | State::GaveUp => None,
        });
        Ok(RunFile {
            ingest: self.ingest.map(url),
            query: self.query.map(url),
            brokers: Some(brokers.to_owned()),
            broker_pid,
            ..RunFile::of(Identity::own()?)
        })
    }
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
