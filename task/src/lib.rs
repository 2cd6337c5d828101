//! hooklog-task
