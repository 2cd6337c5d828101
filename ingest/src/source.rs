//! The configured webhook endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use hooklog_schemas::Namespace;

use crate::Error;
use crate::signature::Secret;

/// One webhook endpoint as Stripe knows it: where it posts to, and what it signs with.
#[derive(Clone, Debug)]
pub struct Source {
    name: Arc<str>,
    namespace: Namespace,
    secrets: Vec<Secret>,
}

impl Source {
    /// A source of this `name`, which is a part of its path and stands in the headers of its records. Sources of one
    /// Stripe account share a `namespace`; `secrets` are all that may sign, two while one is rolled.
    ///
    /// # Errors
    /// [`Error::SourceName`] and [`Error::NoSecret`].
    pub fn new(name: &str, namespace: Namespace, secrets: Vec<Secret>) -> Result<Self, Error> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let starts_well = name.bytes().next().is_some_and(letter);
        if !starts_well || name.len() > 63 || !name.bytes().all(|byte| letter(byte) || b"-_".contains(&byte)) {
            return Err(Error::SourceName { name: name.chars().take(80).collect() });
        }
        if secrets.is_empty() {
            return Err(Error::NoSecret { name: name.to_owned() });
        }
        Ok(Self { name: name.into(), namespace, secrets })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace within which event ids are unique.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The path that Stripe posts to.
    pub fn path(&self) -> String {
        format!("/webhooks/{}", self.name)
    }

    /// All that may sign, at least one.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }
}

/// All sources of a service, by name.
#[derive(Debug)]
pub(crate) struct Sources(BTreeMap<Arc<str>, Source>);

impl Sources {
    pub(crate) fn new(sources: &[Source]) -> Result<Self, Error> {
        let mut by_name = BTreeMap::new();
        for source in sources {
            if by_name.insert(source.name.clone(), source.clone()).is_some() {
                return Err(Error::SourceTwice { name: source.name.to_string() });
            }
        }
        if by_name.is_empty() { Err(Error::NoSource) } else { Ok(Self(by_name)) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Source> {
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Vec<Secret> {
        vec![Secret::new("whsec_a".to_owned()).unwrap()]
    }

    fn source(name: &str) -> Result<Source, Error> {
        Source::new(name, Namespace::default(), secret())
    }

    #[test]
    fn a_name_that_is_no_plain_part_of_a_path_is_refused() {
        for name in ["", "-a", "_a", "A", "a/b", "a b", "ä", "a.b", "a%2f", &"a".repeat(64)] {
            assert!(matches!(source(name), Err(Error::SourceName { .. })), "{name:?}");
        }
        assert_eq!(source("eu-shop_2").unwrap().path(), "/webhooks/eu-shop_2");
    }

    #[test]
    fn a_source_without_secret_is_refused() {
        let refused = Source::new("stripe", Namespace::default(), Vec::new());
        assert!(matches!(refused, Err(Error::NoSecret { .. })));
    }

    #[test]
    fn two_sources_may_share_a_namespace_but_not_a_name() {
        let (a, b) = (source("a").unwrap(), source("b").unwrap());
        assert!(Sources::new(&[a.clone(), b]).is_ok());
        assert!(matches!(Sources::new(&[a.clone(), a]), Err(Error::SourceTwice { .. })));
        assert!(matches!(Sources::new(&[]), Err(Error::NoSource)));
    }
}
