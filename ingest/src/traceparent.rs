//! The W3C trace context of a request: kept where it is valid, else begun here.
//! <https://www.w3.org/TR/trace-context/#traceparent-header>

/// The `traceparent` of a record: `offered` if there is exactly one and it is valid, else a new one out of `random`,
/// unsampled, since nobody records a span for it.
pub(crate) fn of<'a>(offered: impl IntoIterator<Item = &'a [u8]>, random: [u8; 24]) -> String {
    let mut offered = offered.into_iter();
    match (offered.next().and_then(valid), offered.next()) {
        (Some(text), None) => text.to_owned(),
        _ => begun(random),
    }
}

fn begun(mut random: [u8; 24]) -> String {
    // All-zero ids mean "none". One bit set keeps even a broken source of randomness within the standard.
    random[15] |= 1;
    random[23] |= 1;
    format!("00-{}-{}-00", hex::encode(&random[..16]), hex::encode(&random[16..]))
}

fn valid(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.splitn(5, '-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // A later version may append parts; version 00 has exactly four and ff is forbidden.
    let rest_allowed = parts.next().is_none() || version != "00";
    let fits = hex_of(version, 2) && version != "ff" && id_of(trace, 32) && id_of(parent, 16) && hex_of(flags, 2);
    (fits && rest_allowed && text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}

fn hex_of(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn id_of(text: &str, length: usize) -> bool {
    hex_of(text, length) && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn kept(offered: &[&str]) -> bool {
        offered.contains(&of(offered.iter().map(|text| text.as_bytes()), [7; 24]).as_str())
    }

    #[test]
    fn a_valid_one_is_kept_as_it_stands() {
        assert!(kept(&[GIVEN]));
        assert!(kept(&["cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later"]));
    }

    #[test]
    fn anything_else_is_replaced() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-white space",
        ] {
            assert!(!kept(&[text]), "{text:?}");
        }
        assert!(!kept(&[GIVEN, GIVEN]), "two headers say nothing");
        assert!(!kept(&[]));
    }

    proptest! {
        #[test]
        fn what_is_begun_here_is_valid(random in any::<[u8; 24]>()) {
            let text = of([], random);
            prop_assert_eq!(valid(text.as_bytes()), Some(text.as_str()));
        }

        #[test]
        fn whatever_is_offered_what_comes_out_is_valid(offered in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(valid(of([offered.as_slice()], [0; 24]).as_bytes()).is_some());
        }
    }
}
