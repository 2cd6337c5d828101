//! Writes JSON straight into bytes: a value tree for each body would cost more than everything else together.

use super::ids::{Ids, Kind};

/// A JSON document in the making. Values are ours (no quote, no control character), so nothing is escaped.
pub(super) struct Json<'a> {
    pub(super) out: Vec<u8>,
    pub(super) ids: &'a Ids,
    /// Where `--size` may put its padding: just inside the object's `metadata`.
    pub(super) metadata_at: Option<usize>,
}

impl<'a> Json<'a> {
    pub(super) fn new(ids: &'a Ids, capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity), ids, metadata_at: None }
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        debug_assert!(!value.contains(['"', '\\']) && !value.contains(char::is_control));
        self.key(key);
        self.quoted(value.as_bytes());
    }

    pub(super) fn maybe_text(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(key, value),
            None => self.null(key),
        }
    }

    pub(super) fn number(&mut self, key: &str, value: i64) {
        self.key(key);
        self.digits(value);
    }

    pub(super) fn maybe_number(&mut self, key: &str, value: Option<i64>) {
        match value {
            Some(value) => self.number(key, value),
            None => self.null(key),
        }
    }

    /// A number as text, as Stripe writes its `*_decimal` fields.
    pub(super) fn decimal(&mut self, key: &str, value: i64) {
        self.key(key);
        self.out.push(b'"');
        self.digits(value);
        self.out.push(b'"');
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn null(&mut self, key: &str) {
        self.key(key);
        self.out.extend_from_slice(b"null");
    }

    pub(super) fn id(&mut self, key: &str, kind: Kind, serial: u64) {
        self.id_within(key, "", kind, serial, "");
    }

    pub(super) fn maybe_id(&mut self, key: &str, kind: Kind, serial: Option<u64>) {
        match serial {
            Some(serial) => self.id(key, kind, serial),
            None => self.null(key),
        }
    }

    /// A text that holds an id, like a URL.
    pub(super) fn id_within(&mut self, key: &str, before: &str, kind: Kind, serial: u64, after: &str) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(before.as_bytes());
        self.ids.write(kind, serial, &mut self.out);
        self.out.extend_from_slice(after.as_bytes());
        self.out.push(b'"');
    }

    /// A run of fields that never change, written as they are.
    pub(super) fn fields(&mut self, fields: &str) {
        self.comma();
        self.out.extend_from_slice(fields.as_bytes());
    }

    pub(super) fn object(&mut self, key: &str, inside: impl FnOnce(&mut Self)) {
        self.key(key);
        self.braces(inside);
    }

    /// An object that is an element of an array, or the document itself.
    pub(super) fn element(&mut self, inside: impl FnOnce(&mut Self)) {
        self.comma();
        self.braces(inside);
    }

    pub(super) fn array(&mut self, key: &str, inside: impl FnOnce(&mut Self)) {
        self.key(key);
        self.out.push(b'[');
        inside(self);
        self.out.push(b']');
    }

    /// The data object's `metadata`, the place of padding.
    pub(super) fn metadata(&mut self) {
        self.key("metadata");
        self.out.push(b'{');
        self.metadata_at = Some(self.out.len());
        self.out.push(b'}');
    }

    /// Padding goes here, for an object that has no `metadata`. To be called first inside it.
    pub(super) fn padding_here(&mut self) {
        self.metadata_at = Some(self.out.len());
    }

    fn braces(&mut self, inside: impl FnOnce(&mut Self)) {
        self.out.push(b'{');
        inside(self);
        self.out.push(b'}');
    }

    fn key(&mut self, key: &str) {
        self.comma();
        self.quoted(key.as_bytes());
        self.out.push(b':');
    }

    fn comma(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        self.out.extend_from_slice(bytes);
        self.out.push(b'"');
    }

    fn digits(&mut self, value: i64) {
        let mut buffer = [0_u8; 20];
        let mut at = buffer.len();
        let mut left = value.unsigned_abs();
        loop {
            at -= 1;
            buffer[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if value < 0 {
            self.out.push(b'-');
        }
        self.out.extend_from_slice(&buffer[at..]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_parses_to_what_was_meant() {
        let ids = Ids::new(1);
        let mut json = Json::new(&ids, 64);
        json.element(|json| {
            json.number("least", i64::MIN + 1);
            json.maybe_number("none", None);
            json.text("name", "Zoë");
            json.decimal("amount_decimal", 1000);
            json.fields(r#""a":[],"b":false"#);
            json.array("list", |json| {
                json.element(|json| json.flag("yes", true));
                json.element(|_| {});
            });
            json.metadata();
        });
        let parsed: serde_json::Value = serde_json::from_slice(&json.out).expect("valid JSON");
        assert_eq!(
            parsed,
            json!({"least": i64::MIN + 1, "none": null, "name": "Zoë", "amount_decimal": "1000", "a": [], "b": false,
                   "list": [{"yes": true}, {}], "metadata": {}})
        );
    }
}
