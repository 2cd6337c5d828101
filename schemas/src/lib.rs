//! hooklog-schemas
