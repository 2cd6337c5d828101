//! JSON without what makes no difference: white space, the order of members, escapes, how a number is written. Of a repeated
//! key the first counts, as everywhere here. What comes out is for comparing, not for reading.
//!
//! Written by hand because no reader takes in all that ingest does: halves of surrogate pairs, numbers beyond every `f64`,
//! bytes that are no UTF-8. Two numbers are equal where their values are, to the last digit.

/// Deeper values are compared byte for byte: nothing of Stripe's is half as deep, and the stack is finite.
const DEEPEST: usize = 128;

/// An object's members by key, each value in canonical form.
pub(super) type Members = Vec<(Vec<u8>, Vec<u8>)>;

/// The members of the one object that `json` is, by key; nothing where it is anything else.
pub(super) fn object(json: &[u8]) -> Option<Members> {
    let mut scanner = Scanner { json, at: 0 };
    scanner.blank();
    (scanner.peek()? == b'{').then_some(())?;
    let members = scanner.members(0)?;
    scanner.blank();
    (scanner.at == json.len()).then_some(members)
}

/// An object of such members.
pub(super) fn written(members: Members) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (key, value) in members {
        sized(&mut out, &key);
        sized(&mut out, &value);
    }
    out.push(b'}');
    out
}

/// With its length before it, so that no two sequences share their bytes.
fn sized(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}

struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The next value, at `depth` objects and arrays; the first byte of what comes out is its kind.
    fn value(&mut self, depth: usize) -> Option<Vec<u8>> {
        self.blank();
        let start = self.at;
        match self.peek()? {
            b'{' | b'[' if depth >= DEEPEST => self.skip().map(|()| [&b"~"[..], &self.json[start..self.at]].concat()),
            b'{' => Some(written(self.members(depth)?)),
            b'[' => self.array(depth),
            b'"' => Some([&b"\""[..], self.text()?.as_slice()].concat()),
            b'-' | b'0'..=b'9' => number(self.word()),
            _ => matches!(self.word(), b"true" | b"false" | b"null").then(|| self.json[start..self.at].to_vec()),
        }
    }

    fn members(&mut self, depth: usize) -> Option<Members> {
        self.expect(b'{')?;
        let mut members = Members::new();
        self.blank();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(members);
        }
        loop {
            self.blank();
            let key = self.text()?;
            self.blank();
            self.expect(b':')?;
            members.push((key, self.value(depth + 1)?));
            self.blank();
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        // Stable, so the first of a repeated key is the one that stays.
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members.dedup_by(|(later, _), (first, _)| later == first);
        Some(members)
    }

    fn array(&mut self, depth: usize) -> Option<Vec<u8>> {
        self.expect(b'[')?;
        let mut out = vec![b'['];
        self.blank();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(out);
        }
        loop {
            sized(&mut out, &self.value(depth + 1)?);
            self.blank();
            match self.next()? {
                b',' => {}
                b']' => return Some(out),
                _ => return None,
            }
        }
    }

    /// A string's content; half of a surrogate pair as the three bytes that UTF-8 would give it.
    fn text(&mut self) -> Option<Vec<u8>> {
        self.expect(b'"')?;
        let mut out = Vec::new();
        loop {
            let plain = self.json[self.at..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            out.extend_from_slice(&self.json[self.at..self.at + plain]);
            self.at += plain;
            if self.next()? == b'"' {
                return Some(out);
            }
            self.escape(&mut out)?;
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let plain = match self.next()? {
            b'u' => return self.unicode(out),
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            same @ (b'"' | b'\\' | b'/') => same,
            _ => return None,
        };
        out.push(plain);
        Some(())
    }

    fn unicode(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let first = self.hex()?;
        let before = self.at;
        let letter = match first {
            0xD800..0xDC00 => self.second_half().and_then(|second| char::from_u32(0x10000 + ((first - 0xD800) << 10) + second)),
            _ => char::from_u32(first),
        };
        if let Some(letter) = letter {
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        self.at = before;
        let [_, _, high, low] = first.to_be_bytes();
        out.extend_from_slice(&[0xE0 | high >> 4, 0x80 | (high & 0x0F) << 2 | low >> 6, 0x80 | low & 0x3F]);
        Some(())
    }

    fn second_half(&mut self) -> Option<u32> {
        self.expect(b'\\')?;
        self.expect(b'u')?;
        let second = self.hex()?;
        (0xDC00..0xE000).contains(&second).then(|| second - 0xDC00)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = std::str::from_utf8(self.json.get(self.at..self.at + 4)?).ok()?;
        self.at += 4;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }

    /// A number, or one of the three words.
    fn word(&mut self) -> &[u8] {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let length = self.json[self.at..].iter().take_while(|byte| is_part(byte)).count();
        self.at += length;
        &self.json[self.at - length..self.at]
    }

    /// Passes over an object or array without going into it.
    fn skip(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            match self.peek()? {
                b'"' => drop(self.text()?),
                byte => {
                    self.at += 1;
                    match byte {
                        b'{' | b'[' => open += 1,
                        b'}' | b']' if open == 1 => return Some(()),
                        b'}' | b']' => open -= 1,
                        _ => {}
                    }
                }
            }
        }
    }
}

/// A number by its value: its digits without zeros around them, and the power of ten of the last one.
fn number(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = all.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(b"0".to_vec());
    }
    let sign = if negative { "-" } else { "" };
    // Beyond what anybody can count, the exponent stands as it was written.
    let Ok(exponent) = exponent.parse::<i32>() else { return Some(format!("{sign}{mantissa}e{exponent}").into_bytes()) };
    let shift = (digits.len() - significant.len()) as i64 - fraction.len() as i64;
    Some(format!("{sign}{significant}e{}", i64::from(exponent) + shift).into_bytes())
}
