use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::Error;

mod libraries;

const NOW: i64 = 1_800_000_000;
const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned()).unwrap()
}

fn v1(key: &str, time_text: &str, body: &[u8]) -> String {
    hex::encode(mac(&secret(key), time_text.as_bytes(), body))
}

pub(crate) fn signed(key: &str, time: i64, body: &[u8]) -> String {
    format!("t={time},v1={}", v1(key, &time.to_string(), body))
}

fn judge(header: &str) -> Result<Verified, Refusal> {
    verify(header.as_bytes(), BODY, &[secret("whsec_a")], NOW)
}

/// Secret, signature and body as published in the tests of two libraries for Stripe.
struct Vector {
    secret: &'static str,
    v1: &'static str,
    body: &'static [u8],
}

const VECTOR_TIME: i64 = 1_533_204_620;
const VECTORS: [Vector; 2] = [
    // async-stripe, `test_webhook_construct_event`
    Vector {
        secret: "secret",
        v1: "d7373bc68f4bd320b253cd7461f87af6e1cdf1b4d7db1614d8d1d746972d2d0a",
        body: include_bytes!("vectors/async_stripe.json"),
    },
    // stripe-dotnet, `event_test_signature.json`
    Vector {
        secret: "webhook_secret",
        v1: "2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7",
        body: include_bytes!("vectors/stripe_dotnet.json"),
    },
];

#[test]
fn the_published_vectors_verify() {
    for vector in &VECTORS {
        let header = format!("t={VECTOR_TIME},v1={},v0=63f3a72374a733066c4be69ed7f8e5ac", vector.v1);
        let verdict = verify(header.as_bytes(), vector.body, &[secret(vector.secret)], VECTOR_TIME + 100);
        assert_eq!(verdict, Ok(Verified { time: VECTOR_TIME }));
    }
}

#[test]
fn what_is_signed_here_is_what_was_published() {
    for vector in &VECTORS {
        let header = format!("t={VECTOR_TIME},v1={}", vector.v1);
        assert_eq!(sign(&secret(vector.secret), VECTOR_TIME, vector.body), header);
    }
}

#[test]
fn any_one_flipped_bit_of_a_published_body_fails() {
    for vector in &VECTORS {
        let header = format!("t={VECTOR_TIME},v1={}", vector.v1);
        for at in 0..vector.body.len() * 8 {
            let mut body = vector.body.to_vec();
            body[at / 8] ^= 1 << (at % 8);
            let verdict = verify(header.as_bytes(), &body, &[secret(vector.secret)], VECTOR_TIME);
            assert_eq!(verdict, Err(Refusal::NoMatch), "bit {at}");
        }
    }
}

#[test]
fn a_body_that_was_parsed_and_written_again_fails() {
    let vector = &VECTORS[1];
    let value: serde_json::Value = serde_json::from_slice(vector.body).unwrap();
    let header = format!("t={VECTOR_TIME},v1={}", vector.v1);
    let verdict = verify(header.as_bytes(), value.to_string().as_bytes(), &[secret(vector.secret)], VECTOR_TIME);
    assert_eq!(verdict, Err(Refusal::NoMatch));
}

#[test]
fn a_body_with_a_bom_crlf_bytes_that_are_no_utf8_and_a_trailing_newline_is_taken_byte_for_byte() {
    let body = b"\xef\xbb\xbf{\r\n \"id\" : \"evt_\xff\xfe\" }\r\n";
    let header = signed("whsec_a", NOW, body);
    let secrets = [secret("whsec_a")];
    assert!(verify(header.as_bytes(), body, &secrets, NOW).is_ok());
    for altered in [&body[3..], &body[..body.len() - 1], &body[..body.len() - 2]] {
        assert_eq!(verify(header.as_bytes(), altered, &secrets, NOW), Err(Refusal::NoMatch));
    }
}

#[test]
fn an_age_of_300_seconds_passes_and_301_fails_on_either_side() {
    for (time, verdict) in [
        (NOW - 299, Ok(Verified { time: NOW - 299 })),
        (NOW - 300, Ok(Verified { time: NOW - 300 })),
        (NOW - 301, Err(Refusal::TooOld)),
        (NOW + 300, Ok(Verified { time: NOW + 300 })),
        (NOW + 301, Err(Refusal::TooFarAhead)),
        (0, Err(Refusal::TooOld)),
        (999_999_999_999, Err(Refusal::TooFarAhead)),
    ] {
        assert_eq!(judge(&signed("whsec_a", time, BODY)), verdict, "t={time}");
    }
}

#[test]
fn a_forgery_is_never_called_too_old() {
    assert_eq!(judge(&signed("whsec_other", NOW - 9999, BODY)), Err(Refusal::NoMatch));
}

#[test]
fn a_matching_v1_passes_at_every_place_among_junk() {
    let good = format!("v1={}", v1("whsec_a", &NOW.to_string(), BODY));
    let junk = [
        format!("v1={}", "0".repeat(64)),
        "v1=".to_owned(),
        "v1=zz".to_owned(),
        format!("v1={}", "a".repeat(65)),
        "v0=63f3a7".to_owned(),
        "v2=whatever".to_owned(),
        "bare".to_owned(),
        String::new(),
        "=".to_owned(),
    ];
    for place in 0..=junk.len() {
        for time_first in [true, false] {
            let mut items = junk.to_vec();
            items.insert(place, good.clone());
            items.insert(if time_first { 0 } else { items.len() }, format!("t={NOW}"));
            assert_eq!(judge(&items.join(",")), Ok(Verified { time: NOW }), "{items:?}");
        }
    }
}

#[test]
fn a_header_without_what_it_needs_is_refused_for_the_reason_that_is_true() {
    let good = v1("whsec_a", &NOW.to_string(), BODY);
    for (header, refusal) in [
        (String::new(), Refusal::NoTime),
        (format!("v1={good}"), Refusal::NoTime),
        (format!("t,v1={good}"), Refusal::NoTime),
        (format!(" t={NOW},v1={good}"), Refusal::NoTime),
        (format!("T={NOW},v1={good}"), Refusal::NoTime),
        (format!("t=,v1={good}"), Refusal::MalformedTime),
        (format!("t=1800000000000,v1={good}"), Refusal::MalformedTime),
        (format!("t=-1,v1={good}"), Refusal::MalformedTime),
        (format!("t=+{NOW},v1={good}"), Refusal::MalformedTime),
        (format!("t= {NOW},v1={good}"), Refusal::MalformedTime),
        (format!("t={NOW}\n,v1={good}"), Refusal::MalformedTime),
        (format!("t=٣,v1={good}"), Refusal::MalformedTime),
        (format!("t={NOW},t={NOW},v1={good}"), Refusal::SeveralTimes),
        (format!("t=x,t={NOW},v1={good}"), Refusal::SeveralTimes),
        (format!("t={NOW}"), Refusal::NoSignature),
        (format!("t={NOW},v0={good}"), Refusal::NoSignature),
        (format!("t={NOW},v1="), Refusal::NoSignature),
        (format!("t={NOW},v1"), Refusal::NoSignature),
        (format!("t={NOW}, v1={good}"), Refusal::NoSignature),
        (format!("t={NOW},V1={good}"), Refusal::NoSignature),
        (format!("t={NOW},v1={}", &good[..62]), Refusal::NoSignature),
        (format!("t={NOW};v1={good}"), Refusal::MalformedTime),
        (format!("t={NOW},v1={}", &good[..63]), Refusal::NoSignature),
        (format!("t={NOW},v1={good}0"), Refusal::NoSignature),
        (format!("t={NOW},v1={good}00"), Refusal::NoSignature),
        (format!("t={NOW},v1 ={good}"), Refusal::NoSignature),
        (format!("t={NOW},v1= {good}"), Refusal::NoSignature),
        (format!("t={NOW},v1=={good}"), Refusal::NoSignature),
        (format!("t={NOW},v1={}g", &good[..63]), Refusal::NoSignature),
        (format!("t={NOW},v1=\"{good}\""), Refusal::NoSignature),
        (format!("t\u{a0}={NOW},v1={good}"), Refusal::NoTime),
        (format!("v1={good},t={NOW},t="), Refusal::SeveralTimes),
        (format!("t=18446744073709551616,v1={good}"), Refusal::MalformedTime),
        (format!("t=1e9,v1={good}"), Refusal::MalformedTime),
        (format!("t=0x6b49d200,v1={good}"), Refusal::MalformedTime),
    ] {
        assert_eq!(judge(&header), Err(refusal), "{header:?}");
    }
}

#[test]
fn the_text_of_t_is_signed_not_its_value() {
    let padded = format!("0{NOW}");
    let header = format!("t={padded},v1={}", v1("whsec_a", &padded, BODY));
    assert_eq!(judge(&header), Ok(Verified { time: NOW }));
    let header = format!("t={padded},v1={}", v1("whsec_a", &NOW.to_string(), BODY));
    assert_eq!(judge(&header), Err(Refusal::NoMatch));
}

#[test]
fn the_secret_of_one_endpoint_fails_on_another_and_both_pass_while_one_is_rolled() {
    let (old, new) = (signed("whsec_old", NOW, BODY), signed("whsec_new", NOW, BODY));
    let check = |header: &str, secrets: &[Secret]| verify(header.as_bytes(), BODY, secrets, NOW).is_ok();
    assert!(!check(&old, &[secret("whsec_new")]));
    assert!(check(&old, &[secret("whsec_new"), secret("whsec_old")]));
    assert!(check(&new, &[secret("whsec_new"), secret("whsec_old")]));
    // Stripe signs with both while a secret is rolled: a receiver that knows only one of them accepts.
    let both = format!("{old},v1={}", v1("whsec_new", &NOW.to_string(), BODY));
    assert!(check(&both, &[secret("whsec_old")]) && check(&both, &[secret("whsec_new")]));
    assert!(!check(&both, &[secret("whsec_third")]));
    assert!(!check(&both, &[]));
}

#[test]
fn the_prefix_of_a_secret_is_part_of_the_key() {
    assert_eq!(judge(&signed("a", NOW, BODY)), Err(Refusal::NoMatch));
}

#[test]
fn an_empty_secret_or_one_with_white_space_cannot_be_made() {
    assert!(matches!(Secret::new(String::new()), Err(Error::EmptySecret)));
    let unseen = ["whsec\0a", "\u{feff}whsec_a", "whsec_a\u{200b}", "whsec\u{7f}"];
    for text in [" ", "whsec_a\n", " whsec_a", "whsec a", "whsec\u{a0}a", "\t"].into_iter().chain(unseen) {
        assert!(matches!(Secret::new(text.to_owned()), Err(Error::SecretWithWhiteSpace)), "{text:?}");
    }
}

#[test]
fn a_secret_does_not_show_itself() {
    let shown = format!("{:?} {:#?}", secret("whsec_canary"), [secret("whsec_canary")]);
    assert!(!shown.contains("canary"), "{shown}");
}

proptest! {
    #[test]
    fn what_is_signed_verifies(key in "[!-~]{1,80}", body in vec(any::<u8>(), 0..400), shift in -300i64..=300) {
        let header = signed(&key, NOW + shift, &body);
        prop_assert_eq!(verify(header.as_bytes(), &body, &[secret(&key)], NOW), Ok(Verified { time: NOW + shift }));
    }

    #[test]
    fn what_is_signed_for_another_body_never_verifies(body in vec(any::<u8>(), 0..100), other in vec(any::<u8>(), 0..100)) {
        prop_assume!(body != other);
        let header = signed("whsec_a", NOW, &body);
        prop_assert_eq!(verify(header.as_bytes(), &other, &[secret("whsec_a")], NOW), Err(Refusal::NoMatch));
    }

    #[test]
    fn no_header_without_the_key_verifies_or_panics(header in vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&header, BODY, &[secret("whsec_a")], NOW).is_err());
    }

    #[test]
    fn no_header_made_of_the_right_parts_verifies_or_panics(
        items in vec(prop_oneof!["t=[0-9]{0,13}", "v1=[0-9a-f]{60,64}", "v[02]=[a-z]{0,5}", "[tv1=]{0,6}"], 0..8),
    ) {
        prop_assert!(verify(items.join(",").as_bytes(), BODY, &[secret("whsec_a")], NOW).is_err());
    }
}
