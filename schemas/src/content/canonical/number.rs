//! A number by its value, to the last digit: `1`, `1.0` and `10e-1` are one number.

use std::io::Write;

/// A number by its value: its digits without zeros around them, and the power of ten of the last one.
pub(super) fn number(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if is_plain(text) {
        // As most are: a whole number that is its own digits, but for zeros behind them.
        let zeros = text.iter().rev().take_while(|byte| **byte == b'0').count();
        out.extend_from_slice(&text[..text.len() - zeros]);
        return power(out, zeros as i64);
    }
    let text = std::str::from_utf8(text).ok()?;
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = all.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        out.push(b'0');
        return Some(());
    }
    // Beyond what anybody can count, the exponent stands as it was written.
    let Ok(counted) = exponent.parse::<i32>() else {
        return write_to(out, format_args!("{sign}{mantissa}e{exponent}"));
    };
    let shift = (digits.len() - significant.len()) as i64 - fraction.len() as i64;
    out.extend_from_slice(sign.as_bytes());
    out.extend_from_slice(significant.as_bytes());
    power(out, i64::from(counted) + shift)
}

/// The power of ten; without the formatting machinery where it is one digit.
fn power(out: &mut Vec<u8>, exponent: i64) -> Option<()> {
    match u8::try_from(exponent) {
        Ok(digit @ 0..10) => out.extend_from_slice(&[b'e', b'0' + digit]),
        _ => write_to(out, format_args!("e{exponent}"))?,
    }
    Some(())
}

/// Digits alone, none of them in vain before the others.
fn is_plain(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'1'..=b'9')) && text.iter().all(u8::is_ascii_digit)
}

fn write_to(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) -> Option<()> {
    out.write_fmt(what).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        let mut out = Vec::new();
        number(text.as_bytes(), &mut out)?;
        String::from_utf8(out).ok()
    }

    #[test]
    fn however_a_number_is_written_it_comes_out_the_same() {
        for (canonical, texts) in [
            ("1e0", &["1", "1.0", "10e-1", "0.1E+1", "01"][..]),
            ("12e2", &["1200", "1.2e3", "1200.00"]),
            ("-25e-1", &["-2.5", "-25e-1", "-0.25e1"]),
            ("1e10", &["10000000000", "1e10", "1E+10"]),
            ("0", &["0", "-0", "0.000", "0e99"]),
            ("90071992547409930000001e-4", &["9007199254740993000.0001"]),
        ] {
            texts.iter().for_each(|text| assert_eq!(of(text).as_deref(), Some(canonical), "{text}"));
        }
        for text in ["-", "1.2.3", "x", "", "1x", "--1"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
