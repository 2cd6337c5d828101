//! hooklog-processor
