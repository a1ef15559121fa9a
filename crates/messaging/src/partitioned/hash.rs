//! Spreads keys over partitions, the same in every process and version.

/// The partition of a key out of `partitions`: FNV-1a, 32 bits, folded to 16 (Fowler, Noll, Vo: RFC 9923).
pub fn partition_of(key: &str, partitions: u16) -> u16 {
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    (u16::from_be_bytes([a, b]) ^ u16::from_be_bytes([c, d])) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_partition() {
        // Offset basis, and the published vector FNV-1a("foobar") = 0xbf9cf968.
        assert_eq!(partition_of("", u16::MAX), 0x811c ^ 0x9dc5);
        assert_eq!(partition_of("foobar", u16::MAX), 0xbf9c ^ 0xf968);
    }

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0_u32; 64];
        for _ in 0..64_000 {
            counts[usize::from(partition_of(&uuid::Uuid::now_v7().to_string(), 64))] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }
}
