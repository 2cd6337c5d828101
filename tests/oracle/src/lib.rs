//! hooklog-oracle
