//! Associative arrays in bash's iteration order.
//!
//! The order shows in `"${!map[@]}"` and hence in real `.SRCINFO` files. Source: bash 5.2,
//! `hashlib.c` and `assoc.h`: FNV-1 over the key, 1024 buckets at first, four times as many once
//! there are two entries a bucket, new entries in front of their bucket.

use std::collections::BTreeMap;

use super::dynamic::Field;

const FIRST_BUCKETS: u32 = 1024;

/// A map that iterates as bash's does.
#[derive(Debug, Clone)]
pub(crate) struct Assoc {
    buckets: u32,
    entries: usize,
    table: BTreeMap<u32, Vec<(String, Field)>>,
}

impl Default for Assoc {
    fn default() -> Self {
        Self {
            buckets: FIRST_BUCKETS,
            entries: 0,
            table: BTreeMap::new(),
        }
    }
}

fn hash(key: &str) -> u32 {
    key.bytes().fold(2_166_136_261_u32, |hash, byte| {
        // bash xors a signed char.
        hash.wrapping_mul(16_777_619) ^ i32::from(byte.cast_signed()).cast_unsigned()
    })
}

impl Assoc {
    fn bucket(&self, key: &str) -> u32 {
        hash(key) & (self.buckets - 1)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Field> {
        let bucket = self.table.get(&self.bucket(key))?;
        bucket
            .iter()
            .rev()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value)
    }

    pub(crate) fn insert(&mut self, key: String, value: Field) {
        let bucket = self.bucket(&key);
        if let Some(slot) = self
            .table
            .get_mut(&bucket)
            .and_then(|bucket| bucket.iter_mut().find(|(known, _)| *known == key))
        {
            slot.1 = value;
            return;
        }
        if self.entries >= self.buckets as usize * 2 {
            self.grow();
        }
        let bucket = self.bucket(&key);
        self.table.entry(bucket).or_default().push((key, value));
        self.entries += 1;
    }

    fn grow(&mut self) {
        self.buckets *= 4;
        for (_, bucket) in std::mem::take(&mut self.table) {
            // Walked from the front, each entry is put in front of its new bucket.
            for (key, value) in bucket.into_iter().rev() {
                let bucket = self.bucket(&key);
                self.table.entry(bucket).or_default().push((key, value));
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &str) {
        let bucket = self.bucket(key);
        if let Some(entries) = self.table.get_mut(&bucket)
            && let Some(at) = entries.iter().position(|(known, _)| known == key)
        {
            drop(entries.remove(at));
            self.entries -= 1;
        }
    }

    /// Entries in bash's order. Buckets hold the newest entry last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.table.values().flat_map(|bucket| {
            bucket
                .iter()
                .rev()
                .map(|(key, value)| (key.as_str(), value))
        })
    }
}
