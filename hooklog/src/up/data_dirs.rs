//! Where a process keeps things: directories with one owner each, the instance's id, the source's secret.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use hooklog_ingest::{Secret, Source};
use hooklog_schemas::Namespace;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::roles::Roles;
use crate::datadir::{DataDir, RunFile, write_atomically};
use crate::room;
use crate::settings::Settings;

/// The source that there is where none is configured.
const STRIPE: &str = "stripe";

/// The directories of one process. Each service has one of its own, so that `process` and `project` can run beside each
/// other, and `up` holds them all.
pub(super) struct DataDirs {
    root: PathBuf,
    up: Option<DataDir>,
    processor: Option<DataDir>,
    projector: Option<DataDir>,
}

impl DataDirs {
    /// Makes and locks what `roles` need.
    pub(super) fn open(roles: &Roles, settings: &Settings) -> anyhow::Result<DataDirs> {
        let root = settings.data_dir.clone();
        let open = |wanted: bool, path: &Path| wanted.then(|| DataDir::open(path)).transpose();
        let up = open(roles.is_up(), &root)?;
        let processor = open(roles.processes(), &root.join("processor"))?;
        let projector = open(roles.projects(), &root.join("projector"))?;
        Ok(DataDirs { root, up, processor, projector })
    }

    /// The data directory of `up`, which its own broker lives in.
    pub(super) fn up(&self) -> Option<&DataDir> {
        self.up.as_ref()
    }

    pub(super) fn processor(&self) -> anyhow::Result<&Path> {
        self.processor.as_ref().map(DataDir::path).context("no directory was opened for the processor")
    }

    pub(super) fn projector(&self) -> anyhow::Result<&Path> {
        self.projector.as_ref().map(DataDir::path).context("no directory was opened for the projector")
    }

    /// Where something is written.
    pub(super) fn directories(&self) -> Vec<&Path> {
        [&self.up, &self.processor, &self.projector].into_iter().flatten().map(DataDir::path).collect()
    }

    /// Those of [`DataDirs::directories`] whose disk is full.
    pub(super) fn full_directories(&self) -> Vec<&Path> {
        self.directories().into_iter().filter(|directory| room::is_full(directory)).collect()
    }

    /// Who tells other commands where this process is: `up`, or a projector alone.
    pub(super) fn publisher(&self) -> Option<&DataDir> {
        self.up.as_ref().or(self.projector.as_ref())
    }

    pub(super) fn publish(&self, run: &RunFile) -> anyhow::Result<()> {
        self.publisher().map_or(Ok(()), |directory| Ok(directory.publish(run)?))
    }

    pub(super) fn unpublish(&self) -> anyhow::Result<()> {
        self.publisher().map_or(Ok(()), |directory| Ok(directory.unpublish()?))
    }

    /// This process among those of the processor's group: random, and kept, so that a start is known to the group and to
    /// the transaction coordinator as the one before it.
    pub(super) fn instance(&self) -> anyhow::Result<String> {
        let path = self.processor()?.join("instance");
        match fs::read_to_string(&path) {
            Ok(id) if !id.trim().is_empty() => Ok(id.trim().to_owned()),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context(path.display().to_string()),
            _ => {
                let id = format!("{:016x}", rand::random::<u64>());
                write_atomically(&path, format!("{id}\n").as_bytes(), 0o600)?;
                Ok(id)
            }
        }
    }

    /// The configured sources, or one called `stripe` whose secret is kept in the data directory.
    pub(super) fn sources(&self, settings: &Settings) -> anyhow::Result<Vec<Source>> {
        if !settings.sources.is_empty() {
            self.keep_given_secret_if_there_is_room()?;
            return Ok(settings.sources.clone());
        }
        let secret = match &self.up {
            Some(directory) => directory.secret(STRIPE, &mut rand::rng())?,
            None => self.kept_secret()?,
        };
        // Two of them while one is rolled.
        let texts = secret.expose_secret().split([',', '\n']).map(|text| text.trim_end_matches('\r').to_owned());
        let secrets = texts.map(|text| Secret::new(Zeroizing::new(text))).collect::<Result<Vec<_>, _>>()?;
        Ok(vec![Source::new(STRIPE, Namespace::default(), secrets)?])
    }

    /// [`DataDirs::keep_given_secret`], which no webhook waits for: on a full disk that is done by a later call.
    pub(super) fn keep_given_secret_if_there_is_room(&self) -> anyhow::Result<()> {
        unless_it_wants_room(self.keep_given_secret())
    }

    /// The secret of the environment is kept, so that `hooklog send` and the next start know it.
    fn keep_given_secret(&self) -> anyhow::Result<()> {
        let given = match std::env::var_os("HOOKLOG_STRIPE_SECRET_FILE") {
            Some(path) => Some(fs::read_to_string(path)?),
            None => std::env::var("HOOKLOG_STRIPE_SECRET").ok(),
        };
        if let (Some(directory), Some(secret)) = (&self.up, given) {
            directory.keep_secret(STRIPE, SecretString::from(secret.trim_end()))?;
        }
        Ok(())
    }

    fn kept_secret(&self) -> anyhow::Result<SecretString> {
        let path = self.root.join("secrets").join(STRIPE);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "no source is configured and {} is not there: set HOOKLOG_STRIPE_SECRET, or add [sources.stripe] to hooklog.toml",
                path.display()
            )
        });
        Ok(SecretString::from(text?.trim_end()))
    }
}

fn unless_it_wants_room(kept: anyhow::Result<()>) -> anyhow::Result<()> {
    match kept {
        Err(error) if room::is_want_of_room(error.as_ref()) => {
            tracing::warn!(
                "the secret cannot be kept for `hooklog send` and later starts: {}",
                crate::exit::told(&error)
            );
            Ok(())
        }
        kept => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_full_disk_keeps_no_start_from_using_the_secret_that_it_was_given() {
        let failed = |kind| {
            let source = io::Error::from(kind);
            Err(crate::datadir::Error::Io { doing: "write", path: "secrets/stripe".into(), source }.into())
        };
        assert!(unless_it_wants_room(Ok(())).is_ok());
        assert!(unless_it_wants_room(failed(ErrorKind::StorageFull)).is_ok());
        assert!(unless_it_wants_room(failed(ErrorKind::QuotaExceeded)).is_ok());
        assert!(unless_it_wants_room(failed(ErrorKind::PermissionDenied)).is_err());
    }
}
