//! One store: a RocksDB with the fold of a log prefix and the position of that prefix.

mod emissions;
mod hash;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use hooklog_schemas::Millis;
use rocksdb::{BoundColumnFamily, DBWithThreadMode, MultiThreaded, Options, WriteBatch};

use crate::applied::{Applied, TopicPartition};
use crate::error::{Error, OPEN};
use crate::layout::{Family, Kind, Layout};
use crate::registry::Lease;
use crate::writes::Writes;
use crate::{buckets, meta};

pub use read::{Entry, Snapshot};

type Db = DBWithThreadMode<MultiThreaded>;

/// An open store. Reading and applying may go on at once; there is one applier.
pub struct Store {
    // The database goes before the lease on its path.
    db: Db,
    layout: Layout,
    kind: String,
    buckets: RwLock<BTreeMap<Family, BTreeSet<i64>>>,
    lease: Lease,
}

impl Store {
    pub(crate) fn open(lease: Lease, layout: Layout, wanted: Option<&str>) -> Result<Store, Error> {
        let names = names_on_disk(&lease);
        let plain = layout.families().filter(|f| layout.kind(*f) == Kind::Plain).map(|f| layout.name(f).to_owned());
        let ours = [meta::META, meta::EMISSIONS].map(str::to_owned);
        let all: BTreeSet<String> = names.iter().cloned().chain(plain).chain(ours).collect();
        let families = all.iter().map(|name| (name, lease.family()));
        let db = Db::open_cf_with_opts(&lease.database(), lease.path(), families);
        let db = db.map_err(|source| Error::Rocks { path: lease.path().to_owned(), what: OPEN, source })?;
        let buckets = RwLock::new(buckets_among(&layout, &names));
        let mut store = Store { db, layout, kind: String::new(), buckets, lease };
        store.kind = store.agree(wanted)?;
        Ok(store)
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.lease.path()
    }

    /// The line that says what the store holds.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Applies `writes` and the positions that they bring the store to: all of it or, after a crash, nothing.
    ///
    /// # Errors
    /// [`Error::Rocks`]: the disk is full or failing. What is in memory may then be ahead of the disk: close the store and
    /// open it again before anything is folded.
    pub fn apply(&self, writes: &Writes, positions: &[(TopicPartition, Applied)]) -> Result<(), Error> {
        self.db.write(self.batch_of(writes, positions)?).map_err(self.failed("apply"))
    }

    fn batch_of(&self, writes: &Writes, positions: &[(TopicPartition, Applied)]) -> Result<WriteBatch, Error> {
        let mut batch = WriteBatch::default();
        let mut handle = None;
        // In the order of their keys, which a memtable takes in faster; of equal keys the later one stays the later one.
        let mut sorted: Vec<_> = writes.iter().collect();
        sorted.sort_by_key(|write| (write.family, write.key));
        for write in sorted {
            let column = self.column_of(write.family, write.at, &mut handle)?;
            match write.value {
                Some(value) => batch.put_cf(column, write.key, value),
                None => batch.delete_cf(column, write.key),
            }
        }
        let meta = self.column(meta::META)?;
        for (source, applied) in positions {
            batch.put_cf(&meta, meta::applied_key(source), applied.to_bytes());
        }
        Ok(batch)
    }

    /// Drops the buckets in which nothing can matter any more at this stream time, and says how many went. The position
    /// is made durable first: after a power cut the store must not stand before a bucket that is gone.
    ///
    /// # Errors
    /// [`Error::Rocks`].
    pub fn drop_expired(&self, stream_time: Millis) -> Result<usize, Error> {
        let over = self.expired(stream_time);
        if over.is_empty() {
            return Ok(0);
        }
        self.flush()?;
        for (family, number) in &over {
            let name = buckets::name(self.layout.name(*family), *number);
            self.db.drop_cf(&name).map_err(self.failed("drop a bucket"))?;
            self.bucket_list(|list| list.entry(*family).or_default().remove(number));
        }
        Ok(over.len())
    }

    /// Writes all memtables to disk and waits for it.
    ///
    /// # Errors
    /// [`Error::Rocks`].
    pub fn flush(&self) -> Result<(), Error> {
        let mut names = vec![meta::META.to_owned(), meta::EMISSIONS.to_owned()];
        for family in self.layout.families() {
            match self.layout.kind(family) {
                Kind::Plain => names.push(self.layout.name(family).to_owned()),
                Kind::Buckets { .. } => names.extend(self.bucket_names(family)),
            }
        }
        for name in names {
            self.db.flush_cf(&self.column(&name)?).map_err(self.failed("flush"))?;
        }
        Ok(())
    }

    fn expired(&self, stream_time: Millis) -> Vec<(Family, i64)> {
        let over = |(family, number): &(Family, i64)| match self.layout.kind(*family) {
            Kind::Buckets { width, window } => buckets::is_over(*number, stream_time, width, window),
            Kind::Plain => false,
        };
        let list = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        list.iter().flat_map(|(family, numbers)| numbers.iter().map(|n| (*family, *n))).filter(over).collect()
    }

    /// The column that a write goes to. `last` remembers the one before: nearly all writes of a batch go to one.
    fn column_of<'s, 'h>(
        &'s self,
        family: Family,
        at: Millis,
        last: &'h mut Last<'s>,
    ) -> Result<&'h Column<'s>, Error> {
        let number = match self.layout.kind(family) {
            Kind::Plain => 0,
            Kind::Buckets { width, .. } => buckets::number(at, width),
        };
        if !matches!(last, Some((f, n, _)) if (*f, *n) == (family, number)) {
            let column = match self.layout.kind(family) {
                Kind::Plain => self.column(self.layout.name(family))?,
                Kind::Buckets { .. } => self.bucket(family, number)?,
            };
            *last = Some((family, number, column));
        }
        let (_, _, column) = last.as_ref().expect("set just above");
        Ok(column)
    }

    fn bucket(&self, family: Family, number: i64) -> Result<Column<'_>, Error> {
        let name = buckets::name(self.layout.name(family), number);
        if self.db.cf_handle(&name).is_none() {
            self.db.create_cf(&name, &self.lease.family()).map_err(self.failed("make a bucket"))?;
            self.bucket_list(|list| list.entry(family).or_default().insert(number));
        }
        self.column(&name)
    }

    fn bucket_list(&self, change: impl FnOnce(&mut BTreeMap<Family, BTreeSet<i64>>) -> bool) {
        change(&mut self.buckets.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The buckets of a family, the newest first.
    fn bucket_names(&self, family: Family) -> Vec<String> {
        let list = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let numbers = list.get(&family).into_iter().flatten().rev();
        numbers.map(|number| buckets::name(self.layout.name(family), *number)).collect()
    }

    fn column(&self, name: &str) -> Result<Column<'_>, Error> {
        self.db.cf_handle(name).ok_or_else(|| self.damaged(format!("column family {name} is missing")))
    }

    /// Checks what the store says it is, or writes it into a new one.
    fn agree(&self, wanted: Option<&str>) -> Result<String, Error> {
        let meta = self.column(meta::META)?;
        let found = self.db.get_cf(&meta, meta::KIND).map_err(self.failed("read what it is"))?;
        match (found, wanted) {
            (Some(found), wanted) => self.same_kind(String::from_utf8_lossy(&found).into_owned(), wanted),
            (None, Some(wanted)) if self.applied_all()?.is_empty() => {
                self.db.put_cf(&meta, meta::KIND, wanted).map_err(self.failed("write what it is"))?;
                Ok(wanted.to_owned())
            }
            (None, _) => Err(self.damaged("it does not say what it holds".to_owned())),
        }
    }

    fn same_kind(&self, found: String, wanted: Option<&str>) -> Result<String, Error> {
        match wanted {
            Some(wanted) if wanted != found => {
                Err(Error::Foreign { path: self.lease.path().to_owned(), found, wanted: wanted.to_owned() })
            }
            _ => Ok(found),
        }
    }

    fn failed(&self, what: &'static str) -> impl Fn(rocksdb::Error) -> Error + '_ {
        move |source| Error::Rocks { path: self.lease.path().to_owned(), what, source }
    }

    fn damaged(&self, what: String) -> Error {
        Error::Damaged { path: self.lease.path().to_owned(), what }
    }
}

type Column<'s> = std::sync::Arc<BoundColumnFamily<'s>>;
type Last<'s> = Option<(Family, i64, Column<'s>)>;

/// What is on disk; nothing where there is no store yet.
fn names_on_disk(lease: &Lease) -> Vec<String> {
    Db::list_cf(&Options::default(), lease.path()).unwrap_or_default()
}

fn buckets_among(layout: &Layout, names: &[String]) -> BTreeMap<Family, BTreeSet<i64>> {
    let of = |family| names.iter().filter_map(|name| buckets::parse(layout.name(family), name)).collect();
    layout.families().filter(|f| layout.kind(*f) != Kind::Plain).map(|family| (family, of(family))).collect()
}

#[cfg(test)]
mod tests;
