//! The services are started, each with what it is made of.

use std::sync::Arc;

use hooklog_ingest::Source;
use hooklog_log::provision::Provisioned;
use hooklog_processor::service as processor;
use hooklog_projector::Projector;
use hooklog_schemas::ids::Span;
use hooklog_store::Registry;
use hooklog_task::Progress;
use hooklog_task::commit_policy::CommitPolicy;

use super::{INGEST, Listeners, Services};
use crate::settings::Settings;
use crate::up::data_dirs::DataDirs;
use crate::up::kafka::Cluster;
use crate::up::roles::Roles;
use crate::{admin, listen};

/// What the stores of a process may take for blocks and memtables.
const STORE_MEMORY: usize = 384 << 20;

impl Services {
    /// Starts them. Where one cannot be started, those before it run on until they are stopped.
    #[expect(clippy::too_many_arguments, reason = "all that a process is made of")]
    pub(in crate::up) fn start(
        &mut self,
        roles: &Roles,
        settings: &Settings,
        dirs: &DataDirs,
        cluster: &Cluster,
        topics: &Provisioned,
        sources: &[Source],
        listeners: &Listeners,
    ) -> anyhow::Result<()> {
        let registry = Registry::with_memory(STORE_MEMORY);
        if roles.projects() {
            // Before anything is counted: what is described to nobody stays without a description.
            let _ = admin::metrics()?;
        }
        if roles.processes() {
            self.start_processor(settings, dirs, cluster, topics, &registry)?;
        }
        if let Some(listener) = listeners.ingest()? {
            let config = hooklog_ingest::Config {
                sources: sources.to_vec(),
                ..settings.ingest(cluster.connection.clone(), &topics.raw)
            };
            let standing = hooklog_ingest::Status::closed("Kafka has not answered yet");
            self.standing.ingest = Some(standing.clone());
            let serve = hooklog_ingest::serve(listener, config, standing, self.stop.clone());
            self.spawn(INGEST, async { Ok(serve.await?) });
        }
        // Last, since it tells of the others.
        if roles.projects() {
            self.start_projector(settings, dirs, cluster, topics, registry, listeners.query()?)?;
        }
        Ok(())
    }

    fn start_processor(
        &mut self,
        settings: &Settings,
        dirs: &DataDirs,
        cluster: &Cluster,
        topics: &Provisioned,
        registry: &Registry,
    ) -> anyhow::Result<()> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let config = processor::Config {
            connection: cluster.connection.clone(),
            topics: topics.clone(),
            window: Span::days(i64::from(settings.dedup_window_days)),
            directory: dirs.processor()?.to_owned(),
            instance: dirs.instance()?,
            // One a core: more would only make more and smaller transactions and batches.
            workers: cores,
            registry: registry.clone(),
            commit_policy: CommitPolicy::default(),
            conflicts: self.standing.conflicts.clone(),
        };
        let (progress, stop) = (Progress::of(processor::NAME), self.stop.clone());
        self.standing.processor = Some(progress.clone());
        self.spawn_thread("processor", move || Ok(processor::run(&config, progress, stop)?));
        Ok(())
    }

    fn start_projector(
        &mut self,
        settings: &Settings,
        dirs: &DataDirs,
        cluster: &Cluster,
        topics: &Provisioned,
        registry: Registry,
        query: Option<tokio::net::TcpListener>,
    ) -> anyhow::Result<()> {
        // Before anything is measured: what a metric is is told to the recorder that is there.
        let metrics = admin::metrics()?;
        let projector = Projector::open(hooklog_projector::Config {
            connection: cluster.connection.clone(),
            events: topics.events.clone(),
            dir: dirs.projector()?.to_owned(),
            registry,
            rules: settings.rules.clone(),
        })?;
        self.standing.projector = Some(projector.clone());
        let (reader, stop) = (projector.clone(), self.stop.clone());
        self.spawn_thread("projector", move || Ok(reader.run(&stop)?));
        if let Some(listener) = query {
            let others = self.standing.clone();
            let router = projector.router_beside(Arc::new(move || others.others_not_ready())).merge(metrics);
            let serve = listen::serve(listener, router, self.stop.clone());
            self.spawn("query", async {
                serve.await;
                Ok(())
            });
        }
        if let Some(directory) = dirs.publisher() {
            let serve = admin::serve(directory.path(), self.standing.clone(), self.stop.clone())?;
            self.spawn("admin", serve);
        }
        Ok(())
    }

    /// A task of Kafka's and RocksDB's has a thread of its own.
    fn spawn_thread(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<()> + Send + 'static) {
        let task = self.running.spawn_blocking(move || (name, work()));
        self.names.push((task.id(), name));
    }

    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let task = self.running.spawn(async move { (name, work.await) });
        self.names.push((task.id(), name));
    }
}
