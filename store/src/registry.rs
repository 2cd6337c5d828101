//! Opens stores. One block cache and one budget for memtables serve them all: RocksDB's defaults, times column families,
//! times partitions, would be gigabytes. RocksDB also has one lock a path, so a store that moves between two workers of one
//! process goes through here.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, Options, WriteBufferManager};

use crate::error::Error;
use crate::layout::Layout;
use crate::store::Store;

/// What all stores of a process share.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    cache: Cache,
    memtables: WriteBufferManager,
    open: Mutex<HashSet<PathBuf>>,
}

/// Held by an open store: frees its path when it goes.
pub(crate) struct Lease {
    path: PathBuf,
    registry: Registry,
}

/// One memtable, at most; the budget flushes earlier where many stores are open.
const MEMTABLE: usize = 32 << 20;

impl Registry {
    /// A registry whose stores together use about `memory` bytes for blocks and memtables.
    pub fn with_memory(memory: usize) -> Registry {
        let cache = Cache::new_lru_cache(memory / 2);
        let memtables = WriteBufferManager::new_write_buffer_manager(memory / 2, false);
        Registry { shared: Arc::new(Shared { cache, memtables, open: Mutex::default() }) }
    }

    /// Opens the store at `path`, or makes it there. `kind` is a line that says what it holds: format, version of the
    /// fold, parameters, topic ids. A store that says otherwise is not opened.
    ///
    /// # Errors
    /// [`Error::Busy`] where it is open already, [`Error::Foreign`] where it holds something else, [`Error::Damaged`] and
    /// [`Error::Rocks`] where it cannot be read ([`Error::is_damage`] tells them apart).
    pub fn open(&self, path: &Path, layout: Layout, kind: &str) -> Result<Store, Error> {
        let lease = self.lease(path)?;
        // What a crash left of one that was being discarded; only space is lost where it stays.
        let _ = std::fs::remove_dir_all(discarded(&lease.path));
        Store::open(lease, layout, Some(kind))
    }

    /// Opens a store that must exist, whatever it holds: [`Store::kind`] tells.
    ///
    /// # Errors
    /// As [`Registry::open`]; [`Error::Damaged`] where there is none.
    pub fn open_existing(&self, path: &Path, layout: Layout) -> Result<Store, Error> {
        let lease = self.lease(path)?;
        Store::open(lease, layout, None)
    }

    /// Whether this process has the store at `path` open.
    pub fn is_open(&self, path: &Path) -> bool {
        let open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        std::path::absolute(path).is_ok_and(|path| open.contains(&path))
    }

    /// Deletes the store at `path`, which must not be open. Nothing there is fine, too.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Io`].
    pub fn discard(&self, path: &Path) -> Result<(), Error> {
        let lease = self.lease(path)?;
        let io = |source| Error::Io { path: path.to_owned(), source };
        // Moved away first: one that is deleted half way would be a store that is neither there nor gone.
        let gone = discarded(&lease.path);
        unless_absent(std::fs::remove_dir_all(&gone)).map_err(io)?;
        unless_absent(std::fs::rename(&lease.path, &gone)).map_err(io)?;
        unless_absent(std::fs::remove_dir_all(&gone)).map_err(io)
    }

    fn lease(&self, path: &Path) -> Result<Lease, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io)?;
        }
        let path = std::path::absolute(path).map_err(io)?;
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.insert(path.clone()) {
            return Err(Error::Busy(path));
        }
        Ok(Lease { path, registry: self.clone() })
    }
}

/// Where a store goes between being discarded and being deleted.
fn discarded(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".discarded");
    PathBuf::from(name)
}

fn unless_absent(done: std::io::Result<()>) -> std::io::Result<()> {
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

impl Lease {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How the database as a whole is opened.
    pub(crate) fn database(&self) -> Options {
        let mut options = self.family();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_write_buffer_manager(&self.registry.shared.memtables);
        options.set_max_background_jobs(2);
        options.set_max_open_files(512);
        options.set_keep_log_file_num(2);
        options.set_max_total_wal_size(4 * MEMTABLE as u64);
        options.set_bytes_per_sync(1 << 20);
        options
    }

    /// How each column family is opened. Most look-ups miss, so filters answer them, on the last level too.
    pub(crate) fn family(&self) -> Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.registry.shared.cache);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        blocks.set_hybrid_ribbon_filter(10.0, 1);
        blocks.set_format_version(5);
        let mut options = Options::default();
        options.set_block_based_table_factory(&blocks);
        options.set_write_buffer_size(MEMTABLE);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_level_compaction_dynamic_level_bytes(true);
        // Memtables have a filter as well: a miss would otherwise walk the whole skip list.
        options.set_memtable_prefix_bloom_ratio(0.05);
        options.set_memtable_whole_key_filtering(true);
        options
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.registry.shared.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}
