//! Remembering outputs until they are verified: see [`crate::emission`].

use hooklog_schemas::NextOffset;
use rocksdb::{Direction, IteratorMode, WriteBatch};

use super::Store;
use crate::applied::{Applied, TopicPartition};
use crate::emission::{Emission, Verified};
use crate::error::Error;
use crate::meta;
use crate::writes::Writes;

impl Store {
    /// [`Store::apply`] for one source, and what the batch emitted: all of it or, after a crash, nothing.
    ///
    /// # Errors
    /// As [`Store::apply`].
    pub fn apply_emitting(
        &self,
        writes: &Writes,
        (source, applied): (&TopicPartition, Applied),
        emission: Option<&Emission>,
    ) -> Result<(), Error> {
        let mut batch = self.batch_of(writes, &[(source.clone(), applied)])?;
        if let Some(emission) = emission.filter(|emission| !emission.outputs.is_empty()) {
            let key = meta::emission_key(source, emission.from);
            batch.put_cf(&self.column(meta::EMISSIONS)?, key, emission.to_bytes());
        }
        self.db.write(batch).map_err(self.failed("apply"))
    }

    /// What the batches from `from` on emitted, in order; as far back as [`Store::verified`] reaches.
    ///
    /// # Errors
    /// [`Error::Rocks`] or [`Error::Damaged`].
    pub fn emissions(&self, source: &TopicPartition, from: NextOffset) -> Result<Vec<Emission>, Error> {
        let (column, start) = (self.column(meta::EMISSIONS)?, meta::emission_key(source, from));
        let mut emissions = Vec::new();
        for entry in self.db.iterator_cf(&column, IteratorMode::From(&start, Direction::Forward)) {
            let (key, value) = entry.map_err(self.failed("read what was emitted"))?;
            let Some(from) = meta::emission_from(source, &key) else { break };
            let emission = Emission::from_bytes(from, &value);
            emissions.push(emission.ok_or_else(|| self.damaged("what it emitted is unreadable".into()))?);
        }
        Ok(emissions)
    }

    /// Up to where the outputs of `source` are verified, if that was ever noted.
    ///
    /// # Errors
    /// [`Error::Rocks`] or [`Error::Damaged`].
    pub fn verified(&self, source: &TopicPartition) -> Result<Option<Verified>, Error> {
        let value = self.db.get_cf(&self.column(meta::META)?, meta::verified_key(source));
        let value = value.map_err(self.failed("read what is verified"))?;
        let read = |bytes: Vec<u8>| {
            Verified::from_bytes(&bytes).ok_or_else(|| self.damaged("what is verified is unreadable".into()))
        };
        value.map(read).transpose()
    }

    /// Notes that outputs are verified up to there, and forgets what was remembered of them.
    ///
    /// # Errors
    /// [`Error::Rocks`].
    pub fn set_verified(&self, source: &TopicPartition, verified: &Verified) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.put_cf(&self.column(meta::META)?, meta::verified_key(source), verified.to_bytes());
        let (first, end) = (meta::emission_key(source, NextOffset::ZERO), meta::emission_key(source, verified.next));
        batch.delete_range_cf(&self.column(meta::EMISSIONS)?, first, end);
        self.db.write(batch).map_err(self.failed("note what is verified"))
    }

    /// Forgets what is verified and what was emitted, after the output topic itself may have lost records: outputs are then
    /// looked for in the topic alone.
    ///
    /// # Errors
    /// [`Error::Rocks`].
    pub fn forget_verified(&self, source: &TopicPartition) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(&self.column(meta::META)?, meta::verified_key(source));
        let ends = [NextOffset::ZERO, NextOffset(i64::MAX)].map(|offset| meta::emission_key(source, offset));
        batch.delete_range_cf(&self.column(meta::EMISSIONS)?, &ends[0], &ends[1]);
        self.db.write(batch).map_err(self.failed("forget what is verified"))
    }
}
