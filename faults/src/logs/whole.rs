//! Batches with all their bytes: their records, and their places in a segment.

use std::ops::Range;

use anyhow::{Context, Result, ensure};

use super::batches::{Batch, HEADER, parse};
use super::fields::Fields;

/// A batch of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole<'b> {
    /// What its header says.
    pub batch: Batch,
    /// The offset of its last record.
    pub last: i64,
    /// Its bytes in the segment.
    pub at: Range<usize>,
    bytes: &'b [u8],
}

/// Key and value of a record.
pub type KeyValue<'b> = (Option<&'b [u8]>, Option<&'b [u8]>);

impl<'b> Whole<'b> {
    /// Its records, in their order.
    ///
    /// # Errors
    /// They are compressed, or not as Kafka writes them.
    pub fn records(&self) -> Result<Vec<KeyValue<'b>>> {
        let mut fields = Fields(self.bytes);
        fields.skip(21)?;
        let compression = fields.i16()? & 0x07;
        ensure!(compression == 0, "the batch at offset {} is compressed", self.batch.offset);
        fields.skip(34)?;
        let count = fields.i32()?;
        (0..count).map(|_| record(&mut fields)).collect()
    }
}

fn record<'b>(batch: &mut Fields<'b>) -> Result<KeyValue<'b>> {
    let length = batch.length()?;
    let mut record = Fields(batch.bytes(length)?);
    record.skip(1)?; // attributes
    record.varint()?; // time
    record.varint()?; // offset
    Ok((record.nullable_bytes()?, record.nullable_bytes()?))
}

/// The batches of a segment, until its end or a batch that a crash has left half written.
///
/// # Errors
/// It is not of format v2.
pub fn split(segment: &[u8]) -> Result<Vec<Whole<'_>>> {
    let (mut at, mut batches) = (0, Vec::new());
    while segment.len() - at >= HEADER {
        let Some(header) = parse(&segment[at..])? else { break };
        let size = usize::try_from(header.size).context("a batch that is larger than memory")?;
        let Some(bytes) = segment[at..].get(..size) else { break };
        batches.push(Whole { batch: header.batch, last: header.last, at: at..at + size, bytes });
        at += size;
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::super::batches::Kind;
    use super::super::batches::tests::{marker, written};
    use super::*;

    /// Length, attributes, time, offset, key, value, no headers; lengths are zigzag.
    const RECORD: [u8; 10] = [18, 0, 0, 0, 4, b'k', b'1', 2, b'v', 0];
    const WITHOUT_VALUE: [u8; 8] = [14, 0, 0, 0, 2, b'k', 1, 0];

    #[test]
    fn batches_are_found_at_their_places_with_their_records() {
        let segment = [written(0, 0, -1, &RECORD), marker(1, 7, 1), written(2, 0, -1, &WITHOUT_VALUE)].concat();
        let batches = split(&segment).unwrap();
        let ends: Vec<_> = batches.iter().map(|whole| (whole.at.start, whole.at.end)).collect();
        assert_eq!(ends, [(0, 71), (71, 149), (149, 218)]);
        assert_eq!(batches.iter().map(|whole| whole.last).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(batches[1].batch.kind, Kind::Commit);
        assert_eq!(batches[0].records().unwrap(), [(Some(&b"k1"[..]), Some(&b"v"[..]))]);
        assert_eq!(batches[2].records().unwrap(), [(Some(&b"k"[..]), None)]);
    }

    #[test]
    fn what_is_half_written_and_room_that_is_not_written_end_the_segment() {
        let whole = written(0, 0, -1, &RECORD);
        for behind in [&whole[..whole.len() - 1], &whole[..30], &[0; 4_096][..]] {
            assert_eq!(split(&[&whole, behind].concat()).unwrap().len(), 1);
        }
        assert_eq!(split(&[]).unwrap(), []);
    }

    #[test]
    fn records_that_are_compressed_are_an_error_and_not_none() {
        let segment = written(0, 4, -1, &RECORD);
        assert!(split(&segment).unwrap()[0].records().is_err());
    }
}
