//! hooklog-bench
