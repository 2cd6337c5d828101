//! Default places, by the XDG base directory specification.

use super::Error;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// `$XDG_CACHE_HOME/hooklog`, else `~/.cache/hooklog`.
pub(crate) fn cache_home() -> Result<PathBuf, Error> {
    let variable = "XDG_CACHE_HOME";
    let home = base(env::var_os(variable), env::var_os("HOME"), ".cache");
    let advice = "set XDG_CACHE_HOME to a directory that you may write to";
    home.map(|home| home.join("hooklog")).ok_or(Error::NoHome { variable, what: "the broker's jars", advice })
}

/// The specification has relative paths ignored, as if they were not set.
fn base(xdg: Option<OsString>, home: Option<OsString>, below_home: &str) -> Option<PathBuf> {
    let absolute = |value: Option<OsString>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(xdg).or_else(|| absolute(home).map(|home| home.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_xdg_variable_wins_unless_it_is_relative_or_empty() {
        let place = |xdg: &str, home: &str| base(Some(xdg.into()), Some(home.into()), ".cache");
        assert_eq!(place("/x", "/home/a"), Some("/x".into()));
        assert_eq!(place("x", "/home/a"), Some("/home/a/.cache".into()));
        assert_eq!(place("", "/home/a"), Some("/home/a/.cache".into()));
        assert_eq!(place("", ""), None);
    }
}
