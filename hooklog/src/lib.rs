//! hooklog
