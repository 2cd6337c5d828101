//! hooklog-log
