//! What Stripe's own libraries say of headers that one of them made. Where ours says otherwise, the vector says why.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    secret: String,
    /// In hexadecimal.
    body: String,
    header: String,
    now: i64,
    npm: bool,
    pypi: bool,
    here: bool,
    because: Option<String>,
}

impl Case {
    fn body(&self) -> Vec<u8> {
        hex::decode(&self.body).unwrap()
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_slice::<Vectors>(include_bytes!("../vectors/libraries.json")).unwrap().cases
}

#[test]
fn every_header_is_judged_as_stripes_libraries_do_or_for_a_reason() {
    for case in cases() {
        let verdict = verify(case.header.as_bytes(), &case.body(), &[secret(&case.secret)], case.now);
        assert_eq!(verdict.is_ok(), case.here, "{verdict:?} {case:?}");
        assert_eq!(case.because.is_some(), (case.npm, case.pypi) != (case.here, case.here), "{case:?}");
    }
    assert!(cases().len() > 30);
}

#[test]
fn a_header_that_is_signed_here_is_the_one_that_stripes_libraries_make_and_take() {
    let untouched = |case: &Case| case.npm && case.pypi && case.header.len() == "t=1780000000,v1=".len() + 64;
    let cases: Vec<_> = cases().into_iter().filter(untouched).filter(|case| case.header.starts_with("t=1")).collect();
    assert!(cases.len() > 8, "{cases:?}");
    for case in cases {
        assert_eq!(sign(&secret(&case.secret), 1_780_000_000, &case.body()), case.header, "{}", case.name);
    }
}
