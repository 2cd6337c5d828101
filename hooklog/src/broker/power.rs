//! An unclean stop of the whole machine: with one replica, topics may then have lost different tails.
//!
//! The mark outlives every start until somebody has looked after it, so that a crash in between does not forget it.

use super::Error;
use super::layout::Layout;
use crate::datadir::write_atomically;
use std::{fs, io};

pub(super) fn mark(layout: &Layout) -> Result<(), Error> {
    let text =
        b"The machine went down under the broker. hooklog removes this file once raw was checked against events.\n";
    Ok(write_atomically(&layout.power_loss(), text, 0o600)?)
}

pub(super) fn is_marked(layout: &Layout) -> bool {
    layout.power_loss().exists()
}

pub(super) fn clear(layout: &Layout) -> Result<(), Error> {
    let path = layout.power_loss();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stays_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.create().unwrap();
        assert!(!is_marked(&layout));
        mark(&layout).unwrap();
        assert!(is_marked(&layout));
        clear(&layout).unwrap();
        assert!(!is_marked(&layout));
        clear(&layout).unwrap();
    }
}
