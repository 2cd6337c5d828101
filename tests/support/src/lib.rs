//! hooklog-test-support
