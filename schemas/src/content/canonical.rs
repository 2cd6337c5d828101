//! JSON without what makes no difference: white space, the order of members, escapes, how a number is written. Of a repeated
//! key the first counts, as everywhere here. What comes out is for comparing, not for reading.
//!
//! Written by hand because no reader takes in all that ingest does: halves of surrogate pairs, numbers beyond every `f64`,
//! bytes that are no UTF-8. Two numbers are equal where their values are, to the last digit.

mod number;

use number::number;

/// Deeper values are compared byte for byte: nothing of Stripe's is half as deep, and the stack is finite.
const DEEPEST: usize = 128;

/// The members of an object by key, each value in canonical form, in one buffer.
pub(super) struct Object {
    bytes: Vec<u8>,
    members: Vec<Member>,
}

/// Where a member stands in the buffer: a key and a value, each behind its length, so that no two sequences share their bytes.
struct Member {
    start: usize,
    value: usize,
    end: usize,
}

/// The length before a key and a value.
const LENGTH: usize = 4;

impl Object {
    /// Of the one object that `json` is; nothing where it is anything else.
    pub(super) fn read(json: &[u8]) -> Option<Object> {
        let mut scanner = Scanner { json, at: 0, out: Vec::with_capacity(json.len() + json.len() / 2) };
        scanner.blank();
        let members = scanner.members(0)?;
        scanner.blank();
        (scanner.at == json.len()).then_some(Object { bytes: scanner.out, members })
    }

    /// The value of `key`, in canonical form.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let member = self.members.iter().find(|member| member.key(&self.bytes) == key)?;
        Some(&self.bytes[member.value..member.end])
    }

    /// All members but these, in order.
    pub(super) fn without(&self, keys: &[&[u8]]) -> Vec<u8> {
        let kept = self.members.iter().filter(|member| !keys.contains(&member.key(&self.bytes)));
        let mut out = Vec::with_capacity(self.bytes.len());
        kept.for_each(|member| out.extend_from_slice(&self.bytes[member.start..member.end]));
        out
    }
}

impl Member {
    fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start + LENGTH..self.value - LENGTH]
    }
}

/// Reads `json` and writes what it says to `out`.
struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
    out: Vec<u8>,
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

    /// The next value, at `depth` objects and arrays; the first byte that is written is its kind.
    fn value(&mut self, depth: usize) -> Option<()> {
        self.blank();
        let start = self.at;
        match self.peek()? {
            b'{' | b'[' if depth >= DEEPEST => {
                self.skip()?;
                self.out.push(b'~');
                self.out.extend_from_slice(&self.json[start..self.at]);
            }
            b'{' => {
                self.out.push(b'{');
                self.members(depth)?;
            }
            b'[' => self.array(depth)?,
            b'"' => {
                self.out.push(b'"');
                self.text()?;
            }
            b'-' | b'0'..=b'9' => number(&self.json[start..self.word()], &mut self.out)?,
            _ => {
                let word = &self.json[start..self.word()];
                matches!(word, b"true" | b"false" | b"null").then(|| self.out.extend_from_slice(word))?;
            }
        }
        Some(())
    }

    /// What `write` writes, behind its length.
    fn sized(&mut self, write: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; LENGTH]);
        write(self)?;
        let length = u32::try_from(self.out.len() - start - LENGTH).ok()?;
        self.out[start..start + LENGTH].copy_from_slice(&length.to_be_bytes());
        Some(())
    }

    fn members(&mut self, depth: usize) -> Option<Vec<Member>> {
        let (begin, mut members) = (self.out.len(), Vec::new());
        self.expect(b'{')?;
        self.blank();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(members);
        }
        loop {
            self.blank();
            let start = self.out.len();
            self.sized(Self::text)?;
            self.blank();
            self.expect(b':')?;
            let value = self.out.len() + LENGTH;
            self.sized(|this| this.value(depth + 1))?;
            members.push(Member { start, value, end: self.out.len() });
            self.blank();
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        self.in_order(begin, &mut members);
        Some(members)
    }

    /// Sorts what was written of an object from `begin` on. Most of Stripe's objects are sorted as they come.
    fn in_order(&mut self, begin: usize, members: &mut Vec<Member>) {
        if members.is_sorted_by(|a, b| a.key(&self.out) < b.key(&self.out)) {
            return;
        }
        // Stable, so the first of a repeated key is the one that stays.
        members.sort_by(|a, b| a.key(&self.out).cmp(b.key(&self.out)));
        members.dedup_by(|later, first| later.key(&self.out) == first.key(&self.out));
        let written = self.out.split_off(begin);
        for member in members {
            let start = self.out.len();
            self.out.extend_from_slice(&written[member.start - begin..member.end - begin]);
            *member = Member { start, value: start + (member.value - member.start), end: self.out.len() };
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.expect(b'[')?;
        self.out.push(b'[');
        self.blank();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.sized(|this| this.value(depth + 1))?;
            self.blank();
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// A string's content; half of a surrogate pair as the three bytes that UTF-8 would give it.
    fn text(&mut self) -> Option<()> {
        self.expect(b'"')?;
        loop {
            let plain = self.json[self.at..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            self.out.extend_from_slice(&self.json[self.at..self.at + plain]);
            self.at += plain;
            if self.next()? == b'"' {
                return Some(());
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Option<()> {
        let plain = match self.next()? {
            b'u' => return self.unicode(),
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            same @ (b'"' | b'\\' | b'/') => same,
            _ => return None,
        };
        self.out.push(plain);
        Some(())
    }

    fn unicode(&mut self) -> Option<()> {
        let first = self.hex()?;
        let before = self.at;
        let letter = match first {
            0xD800..0xDC00 => {
                self.second_half().and_then(|second| char::from_u32(0x10000 + ((first - 0xD800) << 10) + second))
            }
            _ => char::from_u32(first),
        };
        if let Some(letter) = letter {
            self.out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        self.at = before;
        let [_, _, high, low] = first.to_be_bytes();
        self.out.extend_from_slice(&[0xE0 | high >> 4, 0x80 | (high & 0x0F) << 2 | low >> 6, 0x80 | low & 0x3F]);
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

    /// Passes over a number, or one of the three words; where it ends.
    fn word(&mut self) -> usize {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        self.at += self.json[self.at..].iter().take_while(|byte| is_part(byte)).count();
        self.at
    }

    /// Passes over an object or array without going into it.
    fn skip(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    let before = self.out.len();
                    self.text()?;
                    self.out.truncate(before);
                }
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
