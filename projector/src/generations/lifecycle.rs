//! Opens what the manifest names, makes new generations, and drops those that are not needed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::generation::Generation;
use super::manifest::{self, Manifest};
use super::place::{Place, kept_rules};
use super::plan::GenerationSet;
use super::rules_file::{self, OnDisk};
use crate::error::Error;

/// How long the last questions to a generation that was replaced are waited for.
const LAST_QUESTIONS: Duration = Duration::from_secs(2);

/// All generations of a data directory.
pub struct Generations {
    place: Place,
    manifest: Mutex<Manifest>,
    live: RwLock<Arc<Generation>>,
    /// Open, because queries of a moment ago may still read from it; none after a start.
    previous: Mutex<Option<Arc<Generation>>>,
}

impl Generations {
    /// Opens the live generation, or makes the first one. A build that was going on when the process ended is discarded. A
    /// live generation that is damaged, or folded by another version, is replaced by an empty one under the same rules.
    ///
    /// # Errors
    /// Where the directory, the manifest or, for the first generation, the rules cannot be used; [`Error::OtherLog`];
    /// [`Error::RulesLost`].
    pub fn open(place: Place) -> Result<Self, Error> {
        std::fs::create_dir_all(&place.dir).map_err(|source| Error::Io { path: place.dir.clone(), source })?;
        let manifest = match manifest::read(&place.dir)? {
            Some(manifest) => manifest.with(manifest.plan.abandon()),
            None => Manifest::first(place.load_rules()?.text()),
        };
        manifest::write(&place.dir, &manifest)?;
        sweep(&place, &manifest.plan)?;
        let (manifest, live) = open_live(&place, manifest)?;
        let (manifest, live) = (Mutex::new(manifest), RwLock::new(Arc::new(live)));
        Ok(Self { place, manifest, live, previous: Mutex::default() })
    }

    /// The generation that answers.
    pub fn live(&self) -> Arc<Generation> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which generations there are.
    pub fn plan(&self) -> GenerationSet {
        self.manifest().plan
    }

    fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn previous(&self) -> MutexGuard<'_, Option<Arc<Generation>>> {
        self.previous.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the rules on disk compare with those in use.
    pub fn rules_on_disk(&self) -> OnDisk {
        rules_file::compare(&self.live().rules, self.place.rules.as_deref())
    }

    /// Makes an empty generation under the rules that are on disk now.
    ///
    /// # Errors
    /// [`Error::Building`] where one is being built already; otherwise as [`Generations::open`].
    pub fn begin(&self) -> Result<Arc<Generation>, Error> {
        // Before anything is on disk: refused rules must leave nothing behind.
        let rules = self.place.load_rules()?;
        let mut manifest = self.manifest();
        let (plan, number) = manifest.plan.build().ok_or(Error::Building)?;
        let next = manifest.with(plan).ruled(number, rules.text());
        manifest::write(&self.place.dir, &next)?;
        *manifest = next;
        drop(manifest);
        Ok(Arc::new(self.place.make(number, rules).inspect_err(|_| self.give_up(number))?))
    }

    /// Puts an empty generation under the same rules in the place of the live one, if that is `damaged`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Store`]: the next start tries again.
    pub fn renew(&self, damaged: u64) -> Result<(), Error> {
        self.replace_live(|live, plan| (live.number == damaged).then(|| plan.renew()))
    }

    /// Puts an empty generation under the same rules in the place of the live one, and keeps no other: they hold what the log has
    /// lost, so none of them may ever answer again.
    ///
    /// # Errors
    /// As [`Generations::renew`].
    pub fn begin_anew(&self) -> Result<(), Error> {
        self.replace_live(|_, plan| Some(plan.begin_anew()))
    }

    /// Where a question still reads from what is replaced, its directory stays until the next start.
    fn replace_live(
        &self,
        decide: impl FnOnce(&Generation, GenerationSet) -> Option<GenerationSet>,
    ) -> Result<(), Error> {
        let mut manifest = self.manifest();
        let live = self.live();
        let Some(plan) = decide(&live, manifest.plan) else { return Ok(()) };
        let rules = live.rules.clone();
        let next = manifest.with(plan).ruled(plan.live(), rules.text());
        manifest::write(&self.place.dir, &next)?;
        *manifest = next;
        let renewed = Arc::new(self.place.make(plan.live(), rules)?);
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        drop(manifest);
        wait_for_readers(live);
        let unwanted = plan.previous().is_none().then(|| self.previous().take()).flatten();
        unwanted.into_iter().for_each(wait_for_readers);
        self.tidy();
        Ok(())
    }

    /// Lets a generation that was built take over, durably, then in memory. What came before the previous one is dropped.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Stopped`] where that is not being built any more: nothing has changed then.
    pub fn switch(&self, built: &Arc<Generation>) -> Result<(), Error> {
        let mut manifest = self.manifest();
        if manifest.plan.building() != Some(built.number) {
            return Err(Error::Stopped);
        }
        let next = manifest.with(manifest.plan.switch());
        manifest::write(&self.place.dir, &next)?;
        *manifest = next;
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *live, built.clone());
        *self.previous() = Some(before);
        drop((live, manifest));
        self.tidy();
        Ok(())
    }

    /// Gives a build up and deletes what there is of it. The generation must not be held any more.
    pub fn give_up(&self, number: u64) {
        let mut manifest = self.manifest();
        if manifest.plan.building() != Some(number) {
            return;
        }
        *manifest = manifest.with(manifest.plan.abandon());
        if let Err(error) = manifest::write(&self.place.dir, &manifest) {
            tracing::warn!(%error, "the build that failed is still in the manifest; the next start discards it");
        }
        drop(manifest);
        self.tidy();
    }

    /// What cannot be deleted now is deleted at the next start: it is in nobody's way but the disk's.
    fn tidy(&self) {
        if let Err(error) = sweep(&self.place, &self.plan()) {
            tracing::warn!(%error, "an old generation could not be deleted; the next start tries again");
        }
    }
}

/// Waits until the questions of a moment ago are answered; there are no new ones.
fn wait_for_readers(generation: Arc<Generation>) {
    let deadline = Instant::now() + LAST_QUESTIONS;
    while Arc::strong_count(&generation) > 1 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Opens what answers, or puts an empty generation under the same rules in its place.
fn open_live(place: &Place, manifest: Manifest) -> Result<(Manifest, Generation), Error> {
    let number = manifest.plan.live();
    match place.open(number, manifest.live_rules()) {
        Ok(live) => {
            // The first release kept the rules in the store alone.
            let manifest = manifest.ruled(number, live.rules.text());
            manifest::write(&place.dir, &manifest)?;
            Ok((manifest, live))
        }
        Err(error) if error.is_damage() || matches!(error, Error::OtherFold { .. }) => {
            replace(place, &manifest, &error)
        }
        Err(error) => Err(error),
    }
}

fn replace(place: &Place, manifest: &Manifest, error: &Error) -> Result<(Manifest, Generation), Error> {
    let number = manifest.plan.live();
    let rules = match manifest.live_rules() {
        Some(text) => kept_rules(number, text)?,
        None => place
            .rules_inside(number)
            .ok_or_else(|| Error::RulesLost { dir: place.dir.clone(), what: error.to_string() })?,
    };
    tracing::error!(generation = number, %error, "the views are built anew from the log, under the rules that they had; they answer 503 until then");
    let plan = manifest.plan.renew();
    let manifest = manifest.with(plan).ruled(plan.live(), rules.text());
    manifest::write(&place.dir, &manifest)?;
    sweep(place, &plan)?;
    Ok((manifest, place.make(plan.live(), rules)?))
}

fn sweep(place: &Place, plan: &GenerationSet) -> Result<(), Error> {
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
