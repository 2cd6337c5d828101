//! hooklog-store
