//! hooklog-projector
