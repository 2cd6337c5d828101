//! Opens what the manifest names, makes new generations, and drops those that are not needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hooklog_store::{Registry, Store};

use super::generation::Generation;
use super::manifest;
use super::plan::Plan;
use super::rules_file::{self, OnDisk};
use crate::error::Error;
use crate::rules::Rules;
use crate::views::{family, fold};

/// All generations of a data directory.
pub struct Keeper {
    place: Place,
    plan: Mutex<Plan>,
    live: RwLock<Arc<Generation>>,
    /// Open, because queries of a moment ago may still read from it; none after a start.
    previous: Mutex<Option<Arc<Generation>>>,
}

/// Where generations are and what they are of.
#[derive(Clone)]
pub struct Place {
    /// The directory of all of them.
    pub dir: PathBuf,
    /// Opens stores.
    pub registry: Registry,
    /// The full name of the topic.
    pub topic: String,
    /// Kafka's id of it.
    pub log: String,
    /// Its pinned partitions.
    pub partitions: u32,
    /// The file of `--rules`.
    pub rules: Option<PathBuf>,
}

impl Place {
    /// The line that a store must say of itself.
    fn kind(&self) -> String {
        format!("views format=1 fold={} log={} partitions={}", fold::VERSION, self.log, self.partitions)
    }

    fn open(&self, number: u64) -> Result<Generation, Error> {
        let path = manifest::directory(&self.dir, number);
        let store =
            self.registry.open(&path, family::layout(), &self.kind()).map_err(|error| other_log(&path, error))?;
        Generation::over(number, store, &self.topic, || self.load_rules())
    }

    fn load_rules(&self) -> Result<Rules, Error> {
        rules_file::load(self.rules.as_deref())
    }
}

fn other_log(path: &Path, error: hooklog_store::Error) -> Error {
    match error {
        hooklog_store::Error::Foreign { found, wanted, .. } => Error::OtherLog { path: path.to_owned(), found, wanted },
        other => other.into(),
    }
}

impl Keeper {
    /// Opens the live generation, or makes the first one. A build that was going on when the process ended is discarded.
    ///
    /// # Errors
    /// Where the directory, the manifest, the store or, for the first one, the rules cannot be used.
    pub fn open(place: Place) -> Result<Self, Error> {
        std::fs::create_dir_all(&place.dir).map_err(|source| Error::Io { path: place.dir.clone(), source })?;
        let plan = manifest::read(&place.dir)?.unwrap_or_else(Plan::first).abandon();
        manifest::write(&place.dir, &plan)?;
        sweep(&place, &plan)?;
        let live = place.open(plan.live())?;
        let (plan, live) = (Mutex::new(plan), RwLock::new(Arc::new(live)));
        Ok(Self { place, plan, live, previous: Mutex::default() })
    }

    /// The generation that answers.
    pub fn live(&self) -> Arc<Generation> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which generations there are.
    pub fn plan(&self) -> Plan {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the rules on disk compare with those in use.
    pub fn rules_on_disk(&self) -> OnDisk {
        rules_file::compare(&self.live().rules, self.place.rules.as_deref())
    }

    /// Makes an empty generation under the rules that are on disk now.
    ///
    /// # Errors
    /// [`Error::Building`] where one is being built already; otherwise as [`Keeper::open`].
    pub fn begin(&self) -> Result<Arc<Generation>, Error> {
        // Before anything is on disk: refused rules must leave nothing behind.
        self.begin_under(self.place.load_rules()?)
    }

    /// Lets an empty generation under the rules of the live one take over.
    ///
    /// # Errors
    /// As [`Keeper::begin`].
    pub fn begin_anew(&self) -> Result<(), Error> {
        let empty = self.begin_under(self.live().rules.clone())?;
        self.switch(&empty)
    }

    fn begin_under(&self, rules: Rules) -> Result<Arc<Generation>, Error> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, number) = plan.build().ok_or(Error::Building)?;
        manifest::write(&self.place.dir, &next)?;
        *plan = next;
        drop(plan);
        let store = self.create(number).inspect_err(|_| self.give_up(number))?;
        Ok(Arc::new(Generation::over(number, store, &self.place.topic, || Ok(rules))?))
    }

    fn create(&self, number: u64) -> Result<Store, Error> {
        let path = manifest::directory(&self.place.dir, number);
        Ok(self.place.registry.open(&path, family::layout(), &self.place.kind())?)
    }

    /// Lets a generation that was built take over, durably, then in memory. What came before the previous one is dropped.
    ///
    /// # Errors
    /// [`Error::Io`]: nothing has changed then.
    pub fn switch(&self, built: &Arc<Generation>) -> Result<(), Error> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let next = plan.switch();
        manifest::write(&self.place.dir, &next)?;
        *plan = next;
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *live, built.clone());
        *self.previous.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        drop((live, plan));
        self.tidy();
        Ok(())
    }

    /// Gives a build up and deletes what there is of it. The generation must not be held any more.
    pub fn give_up(&self, number: u64) {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if plan.building() != Some(number) {
            return;
        }
        *plan = plan.abandon();
        if let Err(error) = manifest::write(&self.place.dir, &plan) {
            tracing::warn!(%error, "the build that failed is still in the manifest; the next start discards it");
        }
        drop(plan);
        self.tidy();
    }

    /// What cannot be deleted now is deleted at the next start: it is in nobody's way but the disk's.
    fn tidy(&self) {
        if let Err(error) = sweep(&self.place, &self.plan()) {
            tracing::warn!(%error, "an old generation could not be deleted; the next start tries again");
        }
    }
}

fn sweep(place: &Place, plan: &Plan) -> Result<(), Error> {
    for number in manifest::on_disk(&place.dir)? {
        if !plan.needs(number) {
            tracing::info!(generation = number, "dropping a generation that is not needed any more");
            place.registry.discard(&manifest::directory(&place.dir, number))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
