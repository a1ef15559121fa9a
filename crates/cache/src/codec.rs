//! The bytes of a stored value: `"TC"`, wire version, flags, schema; if it has tags, their number in a byte and their
//! stamps in eight each; JSON. Numbers are big endian.
//!
//! What cannot be read, because it has another wire version or schema, is a miss and not an error,
//! so that two releases may share a store.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

const MAGIC: [u8; 2] = *b"TC";
const WIRE: u8 = 1;
const NEGATIVE: u8 = 1;
const TAGGED: u8 = 2;
const HEADER: usize = 8;

/// Writes a value, or that there is none, with the stamps of its tags (255 at most).
pub(crate) fn encode<V: Serialize>(schema: u32, stamps: &[u64], value: Option<&V>) -> Result<Bytes, serde_json::Error> {
    let mut bytes = BytesMut::with_capacity(256);
    bytes.put_slice(&MAGIC);
    bytes.put_u8(WIRE);
    let negative = if value.is_some() { 0 } else { NEGATIVE };
    bytes.put_u8(negative | if stamps.is_empty() { 0 } else { TAGGED });
    bytes.put_u32(schema);
    if !stamps.is_empty() {
        bytes.put_u8(u8::try_from(stamps.len()).unwrap_or(u8::MAX));
        for stamp in stamps {
            bytes.put_u64(*stamp);
        }
    }
    let mut writer = bytes.writer();
    if let Some(value) = value {
        serde_json::to_writer(&mut writer, value)?;
    }
    Ok(writer.into_inner().freeze())
}

/// There is no value, or none that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing;

/// Whether a value has these stamps and no others.
pub(crate) fn has_stamps(bytes: &[u8], stamps: &[u64]) -> bool {
    split(bytes).is_some_and(|(own, _)| own.iter().copied().eq(stamps.iter().map(|stamp| stamp.to_be_bytes())))
}

/// The stamps and the payload.
fn split(bytes: &[u8]) -> Option<(&[[u8; 8]], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    if header[3] & TAGGED == 0 {
        return Some((&[], rest));
    }
    let (number, rest) = rest.split_first()?;
    let (stamps, payload) = rest.split_at_checked(usize::from(*number) * 8)?;
    Some((stamps.as_chunks().0, payload))
}

/// Reads what [`encode`] wrote with the same schema.
pub(crate) fn decode<V: DeserializeOwned>(schema: u32, bytes: &[u8]) -> Result<Option<V>, Missing> {
    let (_, payload) = split(bytes).ok_or(Missing)?;
    let (magic, rest) = bytes[..HEADER].split_at(MAGIC.len());
    if magic != MAGIC || rest[0] != WIRE || rest[2..] != schema.to_be_bytes() {
        return Err(Missing);
    }
    match rest[1] & !TAGGED {
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
        assert_eq!(encode(7, &[], Some(&(1, "one"))).unwrap(), GOLDEN);
        assert_eq!(decode::<(u8, String)>(7, GOLDEN), Ok(Some((1, "one".to_owned()))));
        assert_eq!(encode::<u8>(7, &[], None).unwrap(), b"TC\x01\x01\x00\x00\x00\x07".as_slice());
        assert_eq!(decode::<u8>(7, b"TC\x01\x01\x00\x00\x00\x07"), Ok(None));
    }

    #[test]
    fn stamps_are_kept() {
        let tagged = encode(7, &[1, 2], Some(&(1, "one"))).unwrap();
        let golden = b"TC\x01\x02\x00\x00\x00\x07\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02[1,\"one\"]";
        assert_eq!(tagged, golden.as_slice());
        assert_eq!(decode::<(u8, String)>(7, &tagged), Ok(Some((1, "one".to_owned()))));
        assert!(has_stamps(&tagged, &[1, 2]) && has_stamps(GOLDEN, &[]));
        for other in [&[][..], &[1], &[1, 3], &[1, 2, 3]] {
            assert!(!has_stamps(&tagged, other), "{other:?}");
        }
        assert!(!has_stamps(GOLDEN, &[1]) && !has_stamps(&tagged[..20], &[1, 2]), "cut");
    }

    #[test]
    fn null_is_a_value() {
        let stored = encode(0, &[], Some(&None::<u8>)).unwrap();
        assert_eq!(decode::<Option<u8>>(0, &stored), Ok(Some(None)));
    }

    #[test]
    fn what_cannot_be_read_is_a_miss() {
        for cut in 0..GOLDEN.len() {
            assert_eq!(decode::<(u8, String)>(7, &GOLDEN[..cut]), Err(Missing), "cut at {cut}");
        }
        for index in 0..HEADER {
            let mut other = GOLDEN.to_vec();
            other[index] ^= 0x40;
            assert_eq!(decode::<(u8, String)>(7, &other), Err(Missing), "byte {index}");
        }
        assert_eq!(decode::<u8>(7, GOLDEN), Err(Missing), "another shape");
    }
}
