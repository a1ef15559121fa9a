//! The bytes of a stored value: `"TC"`, wire version, flags, schema (big endian), JSON.
//!
//! What cannot be read, because it has another wire version or schema, is a miss and not an error,
//! so that two releases may share a store.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

const MAGIC: [u8; 2] = *b"TC";
const WIRE: u8 = 1;
const NEGATIVE: u8 = 1;
const HEAD: usize = 8;

/// Writes a value, or that there is none.
pub(crate) fn encode<V: Serialize>(schema: u32, value: Option<&V>) -> Result<Bytes, serde_json::Error> {
    let mut bytes = BytesMut::with_capacity(256);
    bytes.put_slice(&MAGIC);
    bytes.put_u8(WIRE);
    bytes.put_u8(if value.is_some() { 0 } else { NEGATIVE });
    bytes.put_u32(schema);
    let mut writer = bytes.writer();
    if let Some(value) = value {
        serde_json::to_writer(&mut writer, value)?;
    }
    Ok(writer.into_inner().freeze())
}

/// There is no value, or none that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing;

/// Reads what [`encode`] wrote under the same schema.
pub(crate) fn decode<V: DeserializeOwned>(schema: u32, bytes: &[u8]) -> Result<Option<V>, Missing> {
    let (head, payload) = bytes.split_at_checked(HEAD).ok_or(Missing)?;
    let (magic, rest) = head.split_at(MAGIC.len());
    if magic != MAGIC || rest[0] != WIRE || rest[2..] != schema.to_be_bytes() {
        return Err(Missing);
    }
    match rest[1] {
        0 => serde_json::from_slice(payload).map(Some).map_err(|_| Missing),
        NEGATIVE if payload.is_empty() => Ok(None),
        _ => Err(Missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What release 0.1 writes: if this fails, raise `WIRE` instead of changing it.
    const GOLDEN: &[u8] = b"TC\x01\x00\x00\x00\x00\x07[1,\"one\"]";

    #[test]
    fn the_wire_stays_as_it_is() {
        assert_eq!(encode(7, Some(&(1, "one"))).unwrap(), GOLDEN);
        assert_eq!(decode::<(u8, String)>(7, GOLDEN), Ok(Some((1, "one".to_owned()))));
        assert_eq!(encode::<u8>(7, None).unwrap(), b"TC\x01\x01\x00\x00\x00\x07".as_slice());
        assert_eq!(decode::<u8>(7, b"TC\x01\x01\x00\x00\x00\x07"), Ok(None));
    }

    #[test]
    fn null_is_a_value() {
        let stored = encode(0, Some(&None::<u8>)).unwrap();
        assert_eq!(decode::<Option<u8>>(0, &stored), Ok(Some(None)));
    }

    #[test]
    fn what_cannot_be_read_is_a_miss() {
        for cut in 0..GOLDEN.len() {
            assert_eq!(decode::<(u8, String)>(7, &GOLDEN[..cut]), Err(Missing), "cut at {cut}");
        }
        for place in 0..HEAD {
            let mut other = GOLDEN.to_vec();
            other[place] ^= 0x40;
            assert_eq!(decode::<(u8, String)>(7, &other), Err(Missing), "byte {place}");
        }
        assert_eq!(decode::<u8>(7, GOLDEN), Err(Missing), "another shape");
    }
}
