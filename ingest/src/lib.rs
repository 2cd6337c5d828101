//! hooklog-ingest
