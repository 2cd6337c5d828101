//! Big-endian fields and varints, one behind the other.

use anyhow::{Context, Result};

/// What is still to be read of what Kafka writes.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `count` bytes.
    ///
    /// # Errors
    /// The bytes end before, or are none of these; so with all others here.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).context("it ends too early")?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Passes over `count` bytes.
    pub fn skip(&mut self, count: usize) -> Result<()> {
        self.bytes(count).map(drop)
    }

    /// One byte.
    pub fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    /// Two bytes.
    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// With a length of two bytes before it.
    pub fn string(&mut self) -> Result<String> {
        let length = usize::try_from(self.i16()?)?;
        Ok(String::from_utf8(self.bytes(length)?.to_vec())?)
    }

    /// Seven bits in each byte.
    pub fn unsigned_varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.array::<1>()?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        anyhow::bail!("a varint that does not end")
    }

    /// Zigzag, as in records.
    pub fn varint(&mut self) -> Result<i64> {
        let value = self.unsigned_varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A varint that counts something.
    pub fn length(&mut self) -> Result<usize> {
        usize::try_from(self.varint()?).context("a negative length")
    }

    /// With a varint before them; -1 is none.
    pub fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>> {
        match self.varint()? {
            -1 => Ok(None),
            length => self.bytes(usize::try_from(length).context("a negative length")?).map(Some),
        }
    }

    /// The tagged fields at the end of a structure.
    pub fn skip_tagged(&mut self) -> Result<()> {
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let length = self.unsigned_varint()?;
            self.skip(usize::try_from(length)?)?;
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.bytes(N)?;
        bytes.first_chunk().copied().context("it ends too early")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_zigzag_and_as_long_as_they_need() {
        let mut fields = Fields(&[0, 1, 2, 0xac, 0x02]);
        assert_eq!([(); 4].map(|()| fields.varint().unwrap()), [0, -1, 1, 150]);
        assert!(fields.varint().is_err());
        assert_eq!(Fields(&[1, 5]).nullable_bytes().unwrap(), None);
        assert_eq!(Fields(&[2, 5]).nullable_bytes().unwrap(), Some(&[5][..]));
        assert!(Fields(&[0xff; 20]).unsigned_varint().is_err());
    }

    #[test]
    fn tagged_fields_are_passed_over() {
        let mut fields = Fields(&[2, 0, 1, 9, 3, 2, 9, 9, 0, 7]);
        fields.skip_tagged().unwrap();
        assert_eq!(fields.i16().unwrap(), 7);
    }
}
