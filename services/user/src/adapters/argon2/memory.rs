//! The memory that Argon2 fills, kept from one password to the next.

use std::sync::{Mutex, PoisonError};

use argon2::{Argon2, Block, Error};

/// As many memories as are filled at once.
///
/// Freed, a memory would stay with the arena of the thread that had it (glibc raises its threshold for `mmap` with each
/// block of some megabytes that is freed), and every thread that ever hashes would keep one.
pub(super) struct Memories {
    idle: Mutex<Vec<Memory>>,
    /// How long a memory is kept; a password that needs a longer one has that for once.
    blocks: usize,
}

/// What one password is hashed in.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memories {
    /// None yet; each will have as many blocks.
    pub(super) fn new(blocks: usize) -> Self {
        Self { idle: Mutex::default(), blocks }
    }

    /// Does something with a memory that nobody else has meanwhile.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = idle().pop().unwrap_or_default();
        let done = work(&mut memory);
        memory.0.truncate(self.blocks);
        memory.0.shrink_to(self.blocks);
        idle().push(memory);
        done
    }
}

impl Memory {
    /// The output of Argon2 at its parameters, as [`Argon2::hash_password_into`].
    pub(super) fn hash(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> Result<(), Error> {
        let blocks = argon2.params().block_count();
        if self.0.len() < blocks {
            self.0.reserve_exact(blocks - self.0.len());
            self.0.resize(blocks, Block::new());
        }
        argon2.hash_password_into_with_memory(password, salt, out, &mut self.0[..blocks])
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Params, Version};

    use super::*;

    fn at(memory_kib: u32) -> Argon2<'static> {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(memory_kib, 1, 1, None).unwrap())
    }

    fn hash(memory: &mut Memory, memory_kib: u32) -> ([u8; 32], *const Block) {
        let mut out = [0; 32];
        memory.hash(&at(memory_kib), b"password", b"some salt", &mut out).unwrap();
        (out, memory.0.as_ptr())
    }

    #[test]
    fn a_memory_is_used_again_and_says_the_same() {
        let memories = Memories::new(at(64).params().block_count());
        let mut fresh = [0; 32];
        at(64).hash_password_into(b"password", b"some salt", &mut fresh).unwrap();
        let (first, at_first) = memories.with(|memory| hash(memory, 64));
        let (again, at_last) = memories.with(|memory| hash(memory, 64));
        assert_eq!((first, again), (fresh, fresh));
        assert_eq!(at_first, at_last, "nothing is allocated anew");
    }

    #[test]
    fn there_are_as_many_as_were_in_use_at_once_and_none_longer() {
        let memories = Memories::new(at(64).params().block_count());
        for _ in 0..8 {
            memories.with(|_| memories.with(|memory| hash(memory, 256)));
        }
        let idle = memories.idle.lock().unwrap();
        assert_eq!(idle.len(), 2);
        assert!(idle.iter().all(|memory| memory.0.capacity() <= memories.blocks));
    }
}
